using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Varve.Nbd.Transport;
using Varve.Options;
using Varve.Qmp.Schema;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Server.Chardevs;

/// <summary>Makes character devices of options, from the command line or from <c>chardev-add</c>.</summary>
internal static class ChardevOptions
{
    private static readonly string[] s_unsupported = ["logfile", "telnet", "tn3270", "websocket", "tls-authz"];

    /// <summary>Every option of a command line.</summary>
    private static readonly HashSet<string> s_names = new(StringComparer.Ordinal)
    {
        "backend", "id", "path", "host", "port", "fd", "to", "ipv4", "ipv6", "abstract", "tight", "server", "wait", "nodelay", "delay",
        "reconnect", "signal", "logfile", "logappend", "telnet", "tn3270", "websocket", "tls-creds", "tls-authz", "mux",
    };

    private static readonly OptionMember[] s_common = [Optional("logfile", Str), Optional("logappend", Bool)];

    private static readonly ObjectType s_nothing = new("ChardevCommon", s_common),
        s_device = new("ChardevHostdev", [.. s_common, Required("device", Str)]),
        s_stdio = new("ChardevStdio", [.. s_common, Optional("signal", Bool)]),
        s_socket = new("ChardevSocket",
        [
            .. s_common, Required("addr", SocketAddressTypes.SocketAddressLegacy), Optional("tls-creds", Str), Optional("tls-authz", Str),
            Optional("server", Bool), Optional("wait", Bool), Optional("nodelay", Bool), Optional("telnet", Bool), Optional("tn3270", Bool),
            Optional("websocket", Bool), Optional("reconnect", Int),
        ]);

    /// <summary>QAPI's <c>ChardevBackend</c>, with the backends there are.</summary>
    public static ObjectType Backend { get; } = new(
        "ChardevBackend",
        [Required("type", new EnumType("ChardevBackendKind", ["null", "pipe", "socket", "stdio"]))],
        "type",
        new Dictionary<string, ObjectType>
        {
            ["null"] = QmpTypes.Wrapper(s_nothing), ["pipe"] = QmpTypes.Wrapper(s_device), ["socket"] = QmpTypes.Wrapper(s_socket),
            ["stdio"] = QmpTypes.Wrapper(s_stdio),
        });

    /// <summary>From a command line: <c>socket,id=c,path=/run/qmp.sock,server=on,wait=off</c>, already cut into text members.</summary>
    public static Chardev FromCommandLine(string id, JsonObject options)
    {
        foreach (string name in options.Select(o => o.Key))
        {
            if (!s_names.Contains(name)) throw Invalid($"Invalid parameter '{name}'");
        }

        RefuseUnsupported(options, isOn: value => OptionChecker.TryParseBool((string?)value ?? "") ?? true);
        return (string?)options["backend"] switch
        {
            "stdio" => new StdioChardev(id),
            "null" => new NullChardev(id),
            "socket" => new SocketChardev(id, new SocketChardevOptions(TargetOf(options))
            {
                IsServer = Flag(options, "server", false),
                Wait = Flag(options, "wait", true),
                ReconnectSeconds = Number(options, "reconnect"),
            }),
            "pipe" => new PipeChardev(id, (string?)options["path"] ?? throw Invalid("chardev: pipe: no device path given")),
            null => throw Invalid($"chardev: \"{id}\" missing backend"),
            var backend => throw Invalid($"'{backend}' is not a valid char driver name"),
        };
    }

    /// <summary>From checked QMP arguments: <c>{"type": "socket", "data": {...}}</c>.</summary>
    public static Chardev FromBackend(string id, JsonObject backend)
    {
        var data = (JsonObject)backend["data"]!;
        RefuseUnsupported(data, isOn: value => value?.GetValueKind() != JsonValueKind.False);
        return (string?)backend["type"] switch
        {
            "stdio" => new StdioChardev(id),
            "null" => new NullChardev(id),
            "pipe" => new PipeChardev(id, (string)data["device"]!),
            "socket" => new SocketChardev(id, new SocketChardevOptions(SocketTarget.From((JsonObject)data["addr"]!))
            {
                IsServer = (bool?)data["server"] ?? true,
                Wait = (bool?)data["wait"] ?? false,
                ReconnectSeconds = (int)((long?)data["reconnect"] ?? 0),
            }),
            var type => throw Invalid($"'{type}' is not a valid char driver name"),
        };
    }

    /// <summary>What would change what goes over the wire is not left out in silence.</summary>
    private static void RefuseUnsupported(JsonObject options, Func<JsonNode?, bool> isOn)
    {
        if ((string?)options["tls-creds"] is { } credentials) throw Invalid($"No TLS credentials with id '{credentials}'");
        foreach (string name in s_unsupported)
        {
            if (options.TryGetPropertyValue(name, out JsonNode? value) && isOn(value))
            {
                throw new BlockException(BlockErrorKind.Unsupported, $"Character device option '{name}' is not supported");
            }
        }
    }

    private static SocketTarget TargetOf(JsonObject options)
    {
        string? path = (string?)options["path"], host = (string?)options["host"], port = (string?)options["port"], fd = (string?)options["fd"];
        if (new[] { path, host ?? port, fd }.Count(v => v is not null) != 1) throw Invalid("None or one of 'path', 'fd' or 'host' option required.");
        if (path is not null) return new UnixTarget(path, Flag(options, "abstract", false));
        if (fd is not null) return new DescriptorTarget(fd);
        return new InetTarget(
            host ?? "", port ?? throw Invalid("chardev: socket: no port given"), OptionalFlag(options, "ipv4"), OptionalFlag(options, "ipv6"));
    }

    private static bool Flag(JsonObject options, string name, bool otherwise) => OptionalFlag(options, name) ?? otherwise;

    private static bool? OptionalFlag(JsonObject options, string name)
        => (string?)options[name] is { } text ? OptionChecker.TryParseBool(text) ?? throw Invalid($"Parameter '{name}' expects 'on' or 'off'") : null;

    private static int Number(JsonObject options, string name)
        => (string?)options[name] is not { } text ? 0
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number
            : throw Invalid($"Parameter '{name}' expects a number");

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);
}
