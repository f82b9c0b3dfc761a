using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Varve.Cli.CommandLine;
using Varve.Cli.Daemon;
using Varve.Cli.Images;
using Varve.Cli.Output;
using Varve.Graph;
using Varve.Nbd.Client;
using Varve.Nbd.Server;
using Varve.Nbd.Transport;
using Varve.Objects;
using Varve.Options;
using Varve.Tls;

namespace Varve.Cli.Nbd;

// The life of the server
//   1. The command line is checked whole. With --fork the process in the background does everything else, and the one in the
//      foreground waits for it to listen.
//   2. The image is opened, then the socket is bound, then clients are served: a client that can connect finds the export.
//   3. It ends when the last client that was served has left, unless -t says otherwise, or at a signal: the socket's name goes, clients
//      are let go once their requests are done, the image is closed clean. The PID file stays, as the reference leaves it.

/// <summary><c>varve nbd</c>, also called <c>qemu-nbd</c>: serves one image, or lists what a server offers.</summary>
internal sealed class NbdTool(ToolConsole console)
{
    private const string DefaultAddress = "0.0.0.0", DefaultPort = "10809", ExportId = "qemu-nbd";

    private readonly TaskCompletionSource _end = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Runs a command line until the server has nothing left to do.</summary>
    /// <param name="arguments">Without the program's name.</param>
    /// <param name="stop">Ends the server as SIGTERM does.</param>
    /// <returns>The process's exit status.</returns>
    public async ValueTask<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken stop = default)
    {
        try
        {
            if (NbdArguments.Read(arguments, console) is not { } read) return 0;
            if (read.IsList) return await ListAsync(read, stop).ConfigureAwait(false);
            int? socket = ServiceActivation.Find(read);
            if (read.Forks && !Detachment.IsChild) return Detachment.RunInBackground();
            int? statusPipe = read.Forks ? Detachment.TakeStatusPipe() : null;
            ServiceActivation.Forget();
            await ServeAsync(read, socket, statusPipe, stop).ConfigureAwait(false);
            return 0;
        }
        catch (ToolException e)
        {
            console.ReportError(e.Message, e.Hint);
            return e.ExitCode;
        }
        catch (BlockException e)
        {
            console.ReportError(e.Message, e.Hint);
            return 1;
        }
    }

    private async ValueTask<int> ListAsync(NbdArguments arguments, CancellationToken cancellationToken)
    {
        var context = new ToolContext(console);
        await using (context.ConfigureAwait(false))
        {
            AddObjects(context, arguments);
            SocketTarget server = AddressOf(arguments);
            var options = new NbdClientOptions { Server = server, Tls = NbdClientOptions.UpgradeWith(FindTls(context, arguments), arguments.TlsHostname, server) };
            NbdListing.Write(console.Out, await NbdClientConnection.ListAsync(options, cancellationToken).ConfigureAwait(false));
            return 0;
        }
    }

    private async ValueTask ServeAsync(NbdArguments arguments, int? socket, int? statusPipe, CancellationToken stop)
    {
        using CancellationTokenRegistration stopped = stop.Register(() => _end.TrySetResult());
        using var signals = new EndSignals(() => _end.TrySetResult());
        var context = new ToolContext(console);
        await using (context.ConfigureAwait(false))
        {
            AddObjects(context, arguments);
            FindTls(context, arguments);
            BlockNode node = await OpenAsync(context, arguments, stop).ConfigureAwait(false);
            var exports = new ExportRegistry(context.Graph);
            try
            {
                await StartAsync(context, exports, node, arguments, socket, stop).ConfigureAwait(false);
                using PidFile? pidFile = arguments.PidFile is { } path ? PidFile.Create(path, complaint: "", isRemoved: false) : null;
                console.Out.Flush();
                if (statusPipe is { } pipe) Detachment.Complete(pipe, keepsErrors: arguments.IsVerbose);
                await _end.Task.ConfigureAwait(false);
            }
            finally
            {
                using IDisposable held = await context.Graph.ControlLock.EnterAsync(CancellationToken.None).ConfigureAwait(false);
                await exports.ShutdownAsync().ConfigureAwait(false);
                await context.Graph.ReleaseAsync(node).ConfigureAwait(false);
            }
        }
    }

    // ---- The image

    private static void AddObjects(ToolContext context, NbdArguments arguments)
    {
        foreach (string text in arguments.Objects) context.Objects.Add(OptionChecker.Parse(ObjectOptions.Type, text, "qom-type"));
    }

    private static TlsCredentials? FindTls(ToolContext context, NbdArguments arguments)
    {
        try
        {
            return context.Objects.FindTls(arguments.TlsCredentials, isServer: !arguments.IsList);
        }
        catch (BlockException e)
        {
            throw ToolException.From("Failed to get TLS creds: ", e);
        }
    }

    /// <summary>Opens what is exported: the image, a snapshot of it, or an overlay above it, and a part of that.</summary>
    private static async ValueTask<BlockNode> OpenAsync(ToolContext context, NbdArguments arguments, CancellationToken cancellationToken)
    {
        NodeSettings settings = arguments.Cache.Apply(new NodeSettings
        {
            ReadOnly = arguments.IsReadOnly,
            Discard = arguments.Discard,
            DetectZeroes = arguments.DetectZeroes,
        });
        NodeSettings image = arguments.IsSnapshot ? settings with { ReadOnly = true } : settings;
        BlockNode node = await OpenImageAsync(context, arguments, image, cancellationToken).ConfigureAwait(false);
        if (arguments.Snapshot is { } snapshot)
        {
            try
            {
                using IDisposable held = await context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
                await InternalSnapshots.LoadAsync(node, snapshot, cancellationToken).ConfigureAwait(false);
            }
            catch (BlockException e)
            {
                throw ToolException.From("Failed to load snapshot: ", e);
            }
        }

        if (arguments.IsSnapshot)
        {
            node = await TemporaryOverlay.OpenAsync(
                context.Graph, node, settings with { CacheNoFlush = true }, context.OpenContext, cancellationToken).ConfigureAwait(false);
        }

        return arguments.Offset == 0 ? node : await CutAsync(context, node, arguments.Offset, settings, cancellationToken).ConfigureAwait(false);
    }

    private static async ValueTask<BlockNode> OpenImageAsync(
        ToolContext context, NbdArguments arguments, NodeSettings settings, CancellationToken cancellationToken)
    {
        string name = arguments.Image!;
        OpenContext open = context.OpenContext with { Warn = text => context.Console.WriteError($"WARNING: {text}\n") };
        using IDisposable held = await context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (arguments.IsOptions)
            {
                JsonObject described = OptionString.Parse(name, impliedKey: "file", text => context.Console.Warn(text));
                return await context.Graph.OpenImageAsync(null, described, open, settings, cancellationToken).ConfigureAwait(false);
            }

            var options = new JsonObject();
            if (arguments.Format is not null) options["driver"] = arguments.Format;
            if (arguments.Aio is not null and not "threads" && context.Graph.PlainPathOf(name) is not null) options["file.aio"] = arguments.Aio;
            return await context.Graph.OpenImageAsync(name, options, open, settings, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            throw ToolException.From($"Failed to blk_new_open '{name}': ", e);
        }
    }

    /// <summary>Shows a node from an offset on; its reference is taken over.</summary>
    private static async ValueTask<BlockNode> CutAsync(
        ToolContext context, BlockNode node, long offset, NodeSettings settings, CancellationToken cancellationToken)
    {
        var window = new JsonObject
        {
            ["driver"] = "raw",
            ["offset"] = offset.ToString(CultureInfo.InvariantCulture),
            ["file"] = node.NodeName,
        };
        using IDisposable held = await context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        BlockNode part = await context.Graph.OpenImageAsync(null, window, context.OpenContext, settings, cancellationToken).ConfigureAwait(false);
        await context.Graph.ReleaseAsync(node).ConfigureAwait(false);
        return part;
    }

    // ---- The server

    private async ValueTask StartAsync(
        ToolContext context, ExportRegistry exports, BlockNode node, NbdArguments arguments, int? socket, CancellationToken cancellationToken)
    {
        var options = new NbdServerOptions
        {
            MaxConnections = arguments.Shared,
            Tls = NbdServerOptions.UpgradeWith(context.Objects, FindTls(context, arguments), arguments.TlsAuthorization),
        };
        NbdServer server = await ListenAsync(arguments, socket, options, cancellationToken).ConfigureAwait(false);
        if (!arguments.IsPersistent)
        {
            server.ClientLeft = left =>
            {
                if (left == 0) _end.TrySetResult();
            };
        }

        server.NegotiationFailed = reason => console.ReportError($"option negotiation failed: {reason}");
        server.ConnectionFailed = defect => console.ReportError($"a connection ended: {defect.Message}");
        using IDisposable held = await context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        exports.SetNbdServer(server);
        await exports.AddAsync(
            new NbdExportOptions
            {
                Id = ExportId,
                Node = node,
                Name = arguments.ExportName,
                Description = arguments.Description,
                Writable = !arguments.IsReadOnly,
                Writethrough = arguments.Cache.WriteThrough,
                AllocationDepth = arguments.AllocationDepth,
                Bitmaps = [.. arguments.Bitmaps.Select(name => new ExportedBitmap(name))],
            },
            cancellationToken).ConfigureAwait(false);
    }

    private static async ValueTask<NbdServer> ListenAsync(
        NbdArguments arguments, int? socket, NbdServerOptions options, CancellationToken cancellationToken)
    {
        if (socket is { } descriptor)
        {
            try
            {
                return NbdServer.Listen(new SafeSocketHandle(descriptor, ownsHandle: true), options);
            }
            catch (SocketException e)
            {
                throw new ToolException($"Failed to use socket activation: {e.Message}");
            }
        }

        if (arguments.SocketPath is { } path) return NbdServer.ListenUnix(path, options);
        return NbdServer.Listen(await AddressOf(arguments).ListenAsync(cancellationToken).ConfigureAwait(false), options);
    }

    private static SocketTarget AddressOf(NbdArguments arguments) => arguments.SocketPath is { } path
        ? new UnixTarget(path)
        : new InetTarget(arguments.Address ?? DefaultAddress, arguments.Port ?? DefaultPort);
}
