using System.Text.Json.Nodes;
using Varve.Cli.Images;
using Varve.Graph;

namespace Varve.Cli.Io;

/// <summary>Opens the image that commands work on, and closes it.</summary>
/// <param name="context">The tool's graph and objects.</param>
/// <param name="output">Where drivers and warnings print.</param>
internal sealed class IoImages(ToolContext context, IoOutput output)
{
    private OpenContext OpenContext => context.OpenContext with
    {
        Warn = text => output.PrintError($"WARNING: {text}\n"),
        Say = text => output.Print(text + "\n"),
        OnMismatch = text =>
        {
            output.PrintError(text + "\n");
            output.Flush();
            Environment.Exit(1);   // whatever else happens, a test must not go on from here
        },
    };

    /// <summary>Whether images are described by options, as <c>--image-opts</c> has them, and not named.</summary>
    public bool TakesOptions { get; set; }

    /// <summary>Warns of a deprecated form.</summary>
    public void Warn(string text) => output.PrintError($"{context.Console.ProgramName}: warning: {text}\n");

    /// <summary>Opens an image for the engine.</summary>
    /// <param name="engine">Has none yet.</param>
    /// <param name="opening">How.</param>
    /// <param name="filename">Its name; null where the options say all.</param>
    /// <param name="options">More, flat or nested.</param>
    /// <param name="cancellationToken">Ends the opening.</param>
    /// <exception cref="BlockException">It cannot be opened; the message says which.</exception>
    public async ValueTask OpenAsync(IoEngine engine, IoOpening opening, string? filename, JsonObject options, CancellationToken cancellationToken)
    {
        if (engine.Backend is not null) throw new BlockException(BlockErrorKind.InUse, "file open already, try 'help close'");
        BlockNode? node = null;
        try
        {
            if (opening.Aio is not null and not "threads" && filename is not null && context.Graph.PlainPathOf(filename) is not null) options.TryAdd("file.aio", opening.Aio);
            if (opening is { CopiesOnRead: true, IsReadOnly: true }) throw new BlockException(BlockErrorKind.Invalid, "Can't use copy-on-read on read-only device");
            using (await context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false))
            {
                node = await context.Graph.OpenImageAsync(filename, options, OpenContext, opening.Settings, cancellationToken).ConfigureAwait(false);
            }

            if (opening.IsSnapshot)
            {
                NodeSettings settings = opening.Settings with { ReadOnly = opening.IsReadOnly, CacheNoFlush = true };
                node = await TemporaryOverlay.OpenAsync(context.Graph, node, settings, OpenContext, cancellationToken).ConfigureAwait(false);
            }

            if (opening.CopiesOnRead)
            {
                var filter = new JsonObject { ["driver"] = "copy-on-read", ["file"] = node.NodeName };
                node = await OpenAboveAsync(node, filter, opening, cancellationToken).ConfigureAwait(false);
                node.IsImplicit = true;   // commands speak of the image below it
            }

            BlockPermissions needed = BlockPermissions.ConsistentRead | (opening.IsReadOnly ? BlockPermissions.None : BlockPermissions.Write);
            using (await context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false))
            {
                engine.Backend = await context.Graph.OpenBackendAsync(
                    node, needed, BlockPermissions.All, cancellationToken: cancellationToken).ConfigureAwait(false);
            }

            engine.IsWriteThrough = opening.Cache.WriteThrough;
        }
        catch (BlockException failure)
        {
            BlockException e = InUseAdvice.AddTo(failure, opening.Settings, takesForceShare: true);
            string prefix = filename is null ? "can't open: " : $"can't open device {filename}: ";
            throw new BlockException(e.Kind, prefix + e.Message, e) { Hint = e.Hint, Errno = e.Errno };
        }
        finally
        {
            if (node is not null) await ReleaseAsync(node).ConfigureAwait(false);
        }
    }

    private async ValueTask ReleaseAsync(BlockNode node)
    {
        using IDisposable held = await context.Graph.ControlLock.EnterAsync().ConfigureAwait(false);
        await context.Graph.ReleaseAsync(node).ConfigureAwait(false);
    }

    /// <summary>Waits for what is in flight and closes the image.</summary>
    public async ValueTask CloseAsync(IoEngine engine)
    {
        await engine.InFlight.WaitAsync().ConfigureAwait(false);
        if (engine.Backend is not { } backend) return;
        engine.Backend = null;
        using IDisposable held = await context.Graph.ControlLock.EnterAsync().ConfigureAwait(false);
        await backend.CloseAsync().ConfigureAwait(false);
    }

    /// <summary>Opens a node that stands on <paramref name="below"/>, whose reference it takes over.</summary>
    private async ValueTask<BlockNode> OpenAboveAsync(BlockNode below, JsonObject description, IoOpening opening, CancellationToken cancellationToken)
    {
        NodeSettings settings = opening.Settings with { ReadOnly = opening.IsReadOnly, CacheNoFlush = opening.IsSnapshot };
        using IDisposable held = await context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        BlockNode above = await context.Graph.OpenImageAsync(null, description, OpenContext, settings, cancellationToken).ConfigureAwait(false);
        await context.Graph.ReleaseAsync(below).ConfigureAwait(false);
        return above;
    }
}
