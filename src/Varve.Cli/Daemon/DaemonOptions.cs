using System.Text.Json.Nodes;
using Varve.Cli.CommandLine;
using Varve.Cli.Output;
using Varve.Graph;
using Varve.Nbd.Server;
using Varve.Nbd.Transport;
using Varve.Options;
using Varve.Qmp.Commands;
using Varve.Objects;
using Varve.Qmp.Schema;
using Varve.Qmp.Server;
using Varve.Qmp.Server.Chardevs;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Cli.Daemon;

/// <summary>Does what one option of the daemon's command line says.</summary>
internal sealed class DaemonOptions(QmpContext context, ToolConsole console)
{
    private static readonly ObjectType s_monitor = new("MonitorOptions",
    [
        Optional("id", Str), Optional("mode", new EnumType("MonitorMode", ["readline", "control"])), Optional("pretty", Bool), Required("chardev", Str),
    ]);

    private static readonly ObjectType s_nbdServer = new("NbdServerOptions",
    [
        Required("addr", SocketAddressTypes.SocketAddress), Optional("tls-creds", Str), Optional("tls-authz", Str), Optional("max-connections", OptionType.UInt32),
    ]);

    private readonly List<(JsonObject Options, string Text)> _monitors = [];

    /// <summary>Lets the monitors talk to their clients, in the order they were named.</summary>
    public async ValueTask StartMonitorsAsync()
    {
        foreach ((JsonObject options, string text) in _monitors)
        {
            try
            {
                await context.Monitors.AddAsync((string)options["chardev"]!, (bool?)options["pretty"] ?? false, (string?)options["id"])
                    .ConfigureAwait(false);
            }
            catch (BlockException e)
            {
                throw ToolException.From($"{text}: ", e);
            }
        }
    }

    /// <summary>Applies the option the reader stands on.</summary>
    /// <returns>Whether it asked for information, which is printed: the daemon does not start then.</returns>
    /// <exception cref="BlockException">It could not be done.</exception>
    public async ValueTask<bool> ApplyAsync(OptionReader option, CancellationToken cancellationToken)
    {
        switch (option.Key)
        {
            case "blockdev": await AddNodeAsync(option.Argument, cancellationToken).ConfigureAwait(false); break;
            case "chardev": return await AddChardevAsync(option, cancellationToken).ConfigureAwait(false);
            case "export": await AddExportAsync(option.Argument, cancellationToken).ConfigureAwait(false); break;
            case "monitor": AddMonitor(option); break;
            case "nbd-server": await StartNbdServerAsync(option.Argument, cancellationToken).ConfigureAwait(false); break;
            case "object": return await AddObjectAsync(option.Argument, cancellationToken).ConfigureAwait(false);
        }

        return false;
    }

    private async ValueTask AddNodeAsync(string text, CancellationToken cancellationToken)
    {
        JsonObject options = Parse(BlockdevSchema.Options, text, "driver");
        if (!options.ContainsKey("node-name")) throw Invalid("'node-name' must be specified for the root node");
        using IDisposable held = await context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        BlockNode node = await context.Graph.OpenNodeAsync(options, context.OpenContext, cancellationToken: cancellationToken).ConfigureAwait(false);
        node.IsMonitorOwned = true;
    }

    private async ValueTask<bool> AddChardevAsync(OptionReader option, CancellationToken cancellationToken)
    {
        if (option.Argument is "help" or "?")
        {
            console.Out.Write("Available chardev backend types: \n  null\n  pipe\n  socket\n  stdio\n");
            return true;
        }

        var members = new JsonObject();
        foreach ((string key, string value) in OptionString.ParsePairs(option.Argument, "backend", w => console.Warn(w, option.Text)))
        {
            members[key] = value;
        }

        await context.Chardevs.AddFromCommandLineAsync(members, cancellationToken).ConfigureAwait(false);
        return false;
    }

    private async ValueTask AddExportAsync(string text, CancellationToken cancellationToken)
    {
        JsonObject options = Parse(BlockExportAdd.Options, text, "type");
        using IDisposable held = await context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        await context.AddExportAsync(options, cancellationToken).ConfigureAwait(false);
    }

    private void AddMonitor(OptionReader option)
    {
        JsonObject options = Parse(s_monitor, option.Argument, "chardev");
        string chardev = (string)options["chardev"]!;
        if (context.Chardevs.Find(chardev) is null) throw Invalid($"chardev \"{chardev}\" not found");
        if ((string?)options["mode"] == "readline") throw Invalid("Only QMP is supported");
        _monitors.Add((options, option.Text));
    }

    private async ValueTask StartNbdServerAsync(string text, CancellationToken cancellationToken)
    {
        JsonObject options = Parse(s_nbdServer, text, impliedKey: null);
        TlsUpgrade? tls = NbdServerOptions.UpgradeWith(
            context.Objects, context.Objects.FindTls((string?)options["tls-creds"], isServer: true), (string?)options["tls-authz"]);
        using IDisposable held = await context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        await context.StartNbdServerAsync(
            SocketTarget.From((JsonObject)options["addr"]!), (int)((long?)options["max-connections"] ?? 0), tls, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask<bool> AddObjectAsync(string text, CancellationToken cancellationToken)
    {
        if (ObjectHelp.Find(text) is { } help)
        {
            console.Out.Write(help);
            return true;
        }

        JsonObject options = OptionChecker.Parse(ObjectOptions.Type, text, "qom-type");
        using IDisposable held = await context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        context.Objects.Add(options);
        return false;
    }

    private static JsonObject Parse(ObjectType type, string text, string? impliedKey)
    {
        if (!text.StartsWith('{') && OptionList.AsksForHelp(text)) throw Invalid("Help is not available for this option");
        return OptionChecker.Parse(type, text, impliedKey);
    }

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);
}
