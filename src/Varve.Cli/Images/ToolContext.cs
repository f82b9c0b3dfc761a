using System.Text.Json.Nodes;
using Varve.Cli.CommandLine;
using Varve.Cli.Output;
using Varve.Graph;
using Varve.Nbd;
using Varve.Options;
using Varve.Objects;

namespace Varve.Cli.Images;

/// <summary>What a tool works with: the console, and a graph of its own in which it opens images.</summary>
internal sealed class ToolContext : IAsyncDisposable
{
    private readonly List<BlockBackend> _open = [];

    static ToolContext() => NbdNames.Register();

    public ToolContext(ToolConsole console)
    {
        Console = console;
        console.ShowFindings(Graph);
    }

    public ToolConsole Console { get; }

    public BlockGraph Graph { get; } = new();

    /// <summary>Who asks how far a command is; null where nobody is listened to.</summary>
    public ProgressSignal? ProgressSignal { get; init; }

    /// <summary>Whether the command has <c>-U</c>, which reads an image that another process writes.</summary>
    public bool TakesForceShare { get; set; }

    /// <summary>For what copies or compares whole disks: servers that take several connections get as many as from nbdcopy.</summary>
    public void UseSeveralConnections() => Graph.ConnectionsPerServer = 4;

    /// <summary>The objects of <c>--object</c>.</summary>
    public ObjectRegistry Objects => Graph.Objects;

    /// <summary>The tools follow every name an image holds, as the reference's do.</summary>
    public OpenContext OpenContext => new()
    {
        References = ReferencePolicy.Everything,
        Warn = text => Console.WriteError($"WARNING: {text}\n"),
        WarnOfImage = text => Console.Warn(text),
    };

    /// <summary>Opens an image that was named on the command line.</summary>
    /// <param name="image">How it was named.</param>
    /// <param name="cancellationToken">Ends the opening.</param>
    /// <returns>The node; the caller holds a reference.</returns>
    /// <exception cref="ToolException">It could not be opened; the message names it.</exception>
    public async ValueTask<BlockNode> OpenNodeAsync(ImageArgument image, CancellationToken cancellationToken)
    {
        if (image is { IsOptions: true, Format: not null })
        {
            throw new ToolException("--image-opts and --format are mutually exclusive", image.OpenFailure);
        }

        try
        {
            using IDisposable held = await Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
            OpenContext context = OpenContext with { NoBacking = image.NoBacking, NoIO = image.NoIO, ForCheck = image.ForCheck };
            NodeSettings settings = image.Settings;
            if (!image.IsOptions)
            {
                JsonObject options = image.MoreOptions ?? [];
                if (image.Format is not null) options["driver"] = image.Format;
                return await Graph.OpenImageAsync(image.Text, options, context, settings, cancellationToken).ConfigureAwait(false);
            }

            JsonObject described = OptionString.Parse(image.Text, impliedKey: "file", text => Console.Warn(text));
            return await Graph.OpenImageAsync(null, described, context, settings, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            throw ToolException.From(image.FailurePrefix, InUseAdvice.AddTo(e, image.Settings, TakesForceShare), image.OpenFailure);
        }
    }

    /// <summary>Opens an image and takes a hold on its data.</summary>
    public async ValueTask<BlockBackend> OpenAsync(ImageArgument image, CancellationToken cancellationToken)
    {
        BlockNode node = await OpenNodeAsync(image, cancellationToken).ConfigureAwait(false);
        try
        {
            using IDisposable held = await Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
            BlockPermissions needed = BlockPermissions.ConsistentRead
                | (image.Settings.ReadOnly ? BlockPermissions.None : BlockPermissions.Write)
                | (image.MayResize ? BlockPermissions.Resize : BlockPermissions.None);
            BlockBackend backend = await Graph.OpenBackendAsync(
                node, needed, BlockPermissions.All, cancellationToken: cancellationToken).ConfigureAwait(false);
            _open.Add(backend);
            await Graph.ReleaseAsync(node).ConfigureAwait(false);
            return backend;
        }
        catch (BlockException e)
        {
            throw ToolException.From(image.FailurePrefix, InUseAdvice.AddTo(e, image.Settings, TakesForceShare), image.OpenFailure);
        }
    }

    /// <summary>Ends a hold on an image; what closing has to write is written before this is done.</summary>
    public async ValueTask CloseAsync(BlockBackend backend)
    {
        using IDisposable held = await Graph.ControlLock.EnterAsync().ConfigureAwait(false);
        _open.Remove(backend);
        await backend.CloseAsync().ConfigureAwait(false);
    }

    /// <summary>Closes what a failed command left open. What fails now follows from the failure that is reported already.</summary>
    public async ValueTask DisposeAsync()
    {
        while (_open.Count > 0) await IgnoreFailureAsync(CloseAsync(_open[^1])).ConfigureAwait(false);
        await IgnoreFailureAsync(Graph.DisposeAsync()).ConfigureAwait(false);
    }

    private static async ValueTask IgnoreFailureAsync(ValueTask closing)
    {
        try
        {
            await closing.ConfigureAwait(false);
        }
        catch (BlockException)
        {
            // The command has failed before: a command that succeeds closes its images itself.
        }
    }
}
