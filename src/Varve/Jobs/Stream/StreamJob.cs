using System.Text.Json.Nodes;
using Varve.Filters.CopyOnRead;
using Varve.Graph;

namespace Varve.Jobs;

// What holds whenever the process or the host dies during a stream
//   1. Until the header names the new backing file, the old chain is complete: nothing but the top image was written, and only with
//      what reading it already gave.
//   2. The header is rewritten after everything copied is durable. From then on the top image over the new backing file reads as the
//      old chain did.
//   3. The running graph changes only when the header is durable, in a change that was checked before and cannot fail. When the
//      header cannot be written, header and graph are as before.

/// <summary><c>block-stream</c>: copies what lies between the top image and its base into the top image, then drops what lies between.</summary>
internal sealed partial class StreamJob : BlockJob
{
    private readonly StreamPlan _plan;
    private readonly StreamOptions _options;
    private readonly bool _restoreReadOnly;
    private CopyOnReadNode? _filter;
    private BlockBackend? _backend;

    private StreamJob(JobRegistry registry, StreamPlan plan, StreamOptions options, CopyOnReadNode filter, bool restoreReadOnly)
        : base(registry, options.JobId!, options.AutoFinalize, options.AutoDismiss)
    {
        _plan = plan;
        _options = options;
        _filter = filter;
        _restoreReadOnly = restoreReadOnly;
        _window = new CopyWindow(Graph, plan.TopImage, chunk => filter.PrefetchAsync(chunk.Offset, chunk.Length, CancellationToken.None));
    }

    public override string Type => "stream";

    /// <summary>Checks, inserts the filter, and starts. Needs the control lock.</summary>
    public static async ValueTask<BlockJob> StartAsync(JobRegistry registry, StreamOptions options, CancellationToken cancellationToken)
    {
        BlockGraph graph = registry.Graph;
        StreamPlan plan = StreamPlan.Make(graph, options);
        bool wasReadOnly = plan.Top.IsReadOnly;
        if (wasReadOnly) await ReopenForWritingAsync(graph, plan, cancellationToken).ConfigureAwait(false);

        CopyOnReadNode? filter = null;
        try
        {
            filter = await InsertFilterAsync(graph, plan, options, cancellationToken).ConfigureAwait(false);
            registry.CheckId(options.JobId ?? "");
            var job = new StreamJob(registry, plan, options, filter, wasReadOnly);
            job.Create();
            try
            {
                job.SetSpeed(options.Speed);
                await job.HoldNodesAsync(cancellationToken).ConfigureAwait(false);
            }
            catch
            {
                job.Discard();
                throw;
            }

            job.Start();
            return job;
        }
        catch
        {
            if (filter is not null) await RemoveFilterAsync(graph, plan, filter).ConfigureAwait(false);
            if (wasReadOnly) await RestoreReadOnlyAsync(graph, plan.Top).ConfigureAwait(false);
            throw;
        }
    }

    private static async ValueTask ReopenForWritingAsync(BlockGraph graph, StreamPlan plan, CancellationToken cancellationToken)
    {
        for (BlockNode node = plan.Top; !ReferenceEquals(node, plan.AboveBase); node = node.ChainChild!.Node)
        {
            if (node.ChainChild is { FreezeCount: > 0 } link)
            {
                throw new BlockException(
                    BlockErrorKind.InUse, $"Cannot change '{link.Name}' link from '{node.NodeName}' to '{link.Node.NodeName}'") { Errno = Errno.EPERM };
            }
        }

        await graph.SetReadOnlyAsync(plan.Top, readOnly: false, cancellationToken).ConfigureAwait(false);
    }

    private static async ValueTask<CopyOnReadNode> InsertFilterAsync(
        BlockGraph graph, StreamPlan plan, StreamOptions options, CancellationToken cancellationToken)
    {
        var description = new JsonObject
        {
            ["driver"] = "copy-on-read",
            ["file"] = plan.Top.NodeName,
            ["bottom"] = plan.BaseOverlay.NodeName,
        };
        if (options.FilterNodeName is { } name) description["node-name"] = name;
        var settings = new NodeSettings { Discard = true };   // passes everything on; the node below decides

        CopyOnReadNode filter;
        try
        {
            filter = (CopyOnReadNode)await graph.OpenNodeAsync(description, new OpenContext(), settings, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            throw new BlockException(e.Kind, $"Could not create node: {e.Message}", e) { Errno = e.Errno };
        }

        filter.IsImplicit = options.FilterNodeName is null;
        try
        {
            var change = new GraphTransaction(graph);
            change.ReplaceNode(plan.Top, filter, edge => edge.Parent is not Job);
            await change.PrepareAsync(cancellationToken).ConfigureAwait(false);
            await change.CommitAsync().ConfigureAwait(false);
            return filter;
        }
        catch
        {
            filter.Unfreeze();
            await graph.ReleaseAsync(filter).ConfigureAwait(false);
            throw;
        }
    }

    private async ValueTask HoldNodesAsync(CancellationToken cancellationToken)
    {
        const BlockPermissions Unchanging = BlockPermissions.ConsistentRead | BlockPermissions.WriteUnchanged;
        var change = new GraphTransaction(Graph);
        var backend = new BlockBackend(Graph, $"{Type} job '{Id}'", BlockPermissions.ConsistentRead, Unchanging | BlockPermissions.Write)
        {
            DrainBegin = PauseForDrain,
            DrainPoll = PollRest,
            DrainEnd = ResumeFromDrain,
        };
        change.Attach(backend, "root", ChildRole.Primary, _filter!);
        Hold(change, "main node", _filter!, BlockPermissions.None, BlockPermissions.All);

        // The size of the top is taken once, and an intermediate is read once: nobody resizes the one or changes the others meanwhile.
        Hold(change, "active node", _plan.Top, BlockPermissions.None, Unchanging | BlockPermissions.Write);
        bool reachedImage = !_plan.Top.Driver.IsFilter;
        foreach (BlockNode node in _plan.Intermediates)
        {
            bool isTop = !reachedImage;   // filters that were named as top, and the image below them, belong to the guest
            reachedImage |= !node.Driver.IsFilter;
            Hold(change, "intermediate node", node, BlockPermissions.None, isTop ? Unchanging | BlockPermissions.Write : Unchanging);
        }

        await change.PrepareAsync(cancellationToken).ConfigureAwait(false);
        await change.CommitAsync().ConfigureAwait(false);
        _backend = backend;
    }

    // ---- The end

    /// <summary>The new backing chain: what lies below the last node that leaves, now. The graph may have changed there meanwhile.</summary>
    protected override async ValueTask PrepareAsync()
    {
        BlockNode image = _plan.TopImage;
        BlockNode? newBacking = _plan.AboveBase.ChainChild?.Node;
        BlockNode? newImage = newBacking?.SkipFilters();
        BlockChild? link = image.BackingChild;

        GraphTransaction change = LeaveGraph();
        if (link is not null)
        {
            if (newBacking is null) change.Detach(link);
            else if (!ReferenceEquals(link.Node, newBacking)) change.Retarget(link, newBacking);
        }

        try
        {
            await change.PrepareAsync().ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            throw new BlockException(BlockErrorKind.Denied, e.Message, e);   // the reference fails with EPERM, whatever is in the way
        }

        try
        {
            // Differs from QEMU: it changes the graph first, and leaves it changed when the header cannot be written.
            if (link is not null)
            {
                await image.FlushAsync(CancellationToken.None).ConfigureAwait(false);
                string? name = newImage is null ? null : _options.BackingFile ?? newImage.Filename;
                await image.ChangeBackingFileAsync(name, newImage?.Driver.Name, CancellationToken.None).ConfigureAwait(false);
            }
        }
        catch
        {
            change.Abort();
            throw;
        }

        await change.CommitAsync().ConfigureAwait(false);
        (_filter, _backend) = (null, null);
    }

    protected override async ValueTask CleanAsync()
    {
        if (_filter is not null)
        {
            GraphTransaction change = LeaveGraph();
            await change.PrepareAsync().ConfigureAwait(false);
            await change.CommitAsync().ConfigureAwait(false);
            (_filter, _backend) = (null, null);
        }

        if (_restoreReadOnly) await RestoreReadOnlyAsync(Graph, _plan.Top).ConfigureAwait(false);
    }

    /// <summary>A change that takes the filter and the job's own edges out; to be completed, prepared and committed.</summary>
    private GraphTransaction LeaveGraph()
    {
        var change = new GraphTransaction(Graph);
        ReleaseAll(change);
        if (_backend is not null) change.Detach(_backend.Root);
        NoteFilterRemoval(change, _plan, _filter!);
        return change;
    }

    private static async ValueTask RemoveFilterAsync(BlockGraph graph, StreamPlan plan, CopyOnReadNode filter)
    {
        var change = new GraphTransaction(graph);
        NoteFilterRemoval(change, plan, filter);
        await change.PrepareAsync().ConfigureAwait(false);
        await change.CommitAsync().ConfigureAwait(false);
    }

    private static void NoteFilterRemoval(GraphTransaction change, StreamPlan plan, CopyOnReadNode filter)
    {
        filter.Unfreeze();
        change.ReplaceNode(filter, plan.Top, edge => edge.Parent is not Job);
        change.Detach(filter.Child);
        change.OnCommit(() => filter.ExplicitReferences--);
    }

    private static async ValueTask RestoreReadOnlyAsync(BlockGraph graph, BlockNode top)
    {
        try
        {
            await graph.SetReadOnlyAsync(top, readOnly: true).ConfigureAwait(false);
        }
        catch (BlockException)
        {
            // Somebody writes to it by now: then it stays as it is, as in the reference.
        }
    }
}
