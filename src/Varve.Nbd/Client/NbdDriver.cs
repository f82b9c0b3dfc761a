using System.Text.Json;
using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Nbd.Transport;
using Varve.Nbd.Wire;
using Varve.Options;
using Varve.Tls;
using OptionType = Varve.Options.OptionType;

namespace Varve.Nbd.Client;

/// <summary><c>nbd</c>: an export of an NBD server, over TCP or a unix socket.</summary>
internal sealed class NbdDriver : BlockDriver
{
    private const string DefaultPort = "10809";
    private static readonly string[] s_legacy = ["path", "host", "port"];

    public override string Name => "nbd";

    public override IReadOnlyList<string> ProtocolPrefixes { get; } = ["nbd", "nbd+tcp", "nbd+unix"];

    public override IReadOnlyList<OptionMember> Options { get; } =
    [
        OptionMember.Required("server", SocketAddressTypes.SocketAddress),
        OptionMember.Optional("export", OptionType.Str),
        OptionMember.Optional("tls-creds", OptionType.Str),
        OptionMember.Optional("tls-hostname", OptionType.Str),
        OptionMember.Optional("x-dirty-bitmap", OptionType.Str) with { Features = ["unstable"] },
        OptionMember.Optional("reconnect-delay", OptionType.UInt32),
        OptionMember.Optional("open-timeout", OptionType.UInt32),
        OptionMember.Optional("multi-conn", OptionType.UInt32),
    ];

    public override IReadOnlyList<string> StrongOptions => ["path", "host", "port", "export", "tls-creds", "tls-hostname", "server"];

    public override JsonObject ParseFilename(string filename) => NbdFilename.Parse(filename);

    public override async ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        NbdClientOptions options = TakeOptions(opening);
        NbdClient client = await NbdClient.OpenAsync(options, opening.Graph.Time, cancellationToken).ConfigureAwait(false);
        try
        {
            if (options.StatusContext != NbdClientOptions.BaseAllocation && client.Export.StatusContextId is null)
            {
                throw new BlockException(BlockErrorKind.Invalid, $"requested x-dirty-bitmap {options.StatusContext} not found");
            }

            if ((client.Export.Flags & TransmissionFlags.ReadOnly) != 0 && !opening.Settings.ReadOnly)
            {
                if (!opening.Settings.AutoReadOnly) throw ReadOnlyExport();
                opening.Settings = opening.Settings with { ReadOnly = true };
            }

            return new NbdNode(opening, options, client);
        }
        catch
        {
            await client.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    internal static BlockException ReadOnlyExport()
        => new(BlockErrorKind.Denied, "request on write denied without write permission") { Errno = Errno.EACCES };

    private static NbdClientOptions TakeOptions(NodeOpening opening)
    {
        SocketTarget server = TakeServer(opening);
        if (server is DescriptorTarget named && opening.Graph.TakeDescriptor is { } take && !char.IsAsciiDigit(named.Name.FirstOrDefault()))
        {
            server = new DescriptorTarget(named.Name) { Descriptor = take(named.Name) };
        }

        string export = opening.TakeString("export") ?? "";
        if (System.Text.Encoding.UTF8.GetByteCount(export) > NbdLimits.MaxString)
        {
            throw Invalid("export name too long to send to server");
        }

        string? hostname = opening.TakeString("tls-hostname");
        TlsCredentials? credentials = opening.Graph.Objects.FindTls(opening.TakeString("tls-creds"), isServer: false);
        string? context = opening.TakeString("x-dirty-bitmap");
        if (context is not null && System.Text.Encoding.UTF8.GetByteCount(context) > NbdLimits.MaxString)
        {
            throw Invalid("x-dirty-bitmap query too long to send to server");
        }

        return new NbdClientOptions
        {
            Server = server,
            Export = export,
            Tls = NbdClientOptions.UpgradeWith(credentials, hostname, server),
            StatusContext = context ?? NbdClientOptions.BaseAllocation,
            Connections = TakeConnections(opening),
            ReconnectDelay = TakeSeconds(opening, "reconnect-delay"),
            OpenTimeout = TakeSeconds(opening, "open-timeout"),
        };
    }

    /// <summary>The address, in today's form or in that of <c>path</c>, <c>host</c> and <c>port</c>.</summary>
    private static SocketTarget TakeServer(NodeOpening opening)
    {
        string? path = opening.TakeString("path"), host = opening.TakeString("host"), port = opening.TakeString("port");
        if (opening.Take("server") is JsonObject server)
        {
            if ((path ?? host ?? port) is not null) throw Invalid("Cannot use 'server' and path/host/port at the same time");
            return SocketTarget.From(OptionChecker.Check(SocketAddressTypes.SocketAddress, (JsonObject)AsText(server), OptionStyle.Keyval));
        }

        if (path is not null && host is not null) throw Invalid("path and host may not be used at the same time");
        if (path is not null) return port is null ? new UnixTarget(path) : throw Invalid("port may not be used without host");
        return host is null ? throw Invalid("NBD server address missing") : new InetTarget(host, port ?? DefaultPort);
    }

    /// <summary>Whether typed or text, an address is checked as text: <c>"port": 10809</c> is as good as <c>"10809"</c>.</summary>
    private static JsonNode AsText(JsonNode value) => value switch
    {
        JsonObject members => new JsonObject(members.Select(m => KeyValuePair.Create(m.Key, m.Value is null ? null : (JsonNode?)AsText(m.Value)))),
        JsonValue scalar => scalar.GetValueKind() switch
        {
            JsonValueKind.True => "on",
            JsonValueKind.False => "off",
            JsonValueKind.String => scalar.GetValue<string>(),
            _ => scalar.ToJsonString(),
        },
        _ => value.DeepClone(),
    };

    private static int TakeConnections(NodeOpening opening)
        => TakeNumber(opening, "multi-conn") switch
        {
            null => opening.Graph.ConnectionsPerServer,
            >= 1 and <= NbdClientOptions.MaxConnections and var count => (int)count,
            _ => throw Invalid($"Parameter 'multi-conn' expects a number from 1 to {NbdClientOptions.MaxConnections}"),
        };

    private static TimeSpan TakeSeconds(NodeOpening opening, string name) => TimeSpan.FromSeconds(TakeNumber(opening, name) ?? 0);

    private static uint? TakeNumber(NodeOpening opening, string name)
    {
        JsonNode? value = opening.Take(name);
        if (value is null) return null;
        string text = OptionChecker.TextOf(value) ?? value.ToJsonString();
        return uint.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out uint number)
            ? number
            : throw Invalid($"Parameter '{name}' expects a number");
    }

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);
}
