using Varve.Bitmaps;
using Varve.Graph;

namespace Varve.Jobs;

// What holds whenever the process or the host dies during a commit
//   1. The base receives what the chain above it shows. The images above stay as they are and cover all of it: opened at its top, the
//      chain reads as before, at every moment.
//   2. A header is rewritten after the base is flushed. From then on the overlay over the base reads as the old chain did.
//   3. The running graph changes only then, in a change that was checked before and cannot fail.

/// <summary><c>block-commit</c>: copies what lies between top and base into the base, then drops what lies between.</summary>
internal sealed partial class CommitJob : BlockJob
{
    /// <summary>Bytes that are copied again when one of them is written.</summary>
    private const int CopyGranularity = 64 << 10;
    private readonly CommitPlan _plan;
    private readonly CommitOptions _options;
    private readonly CommitFilterNode _filter;
    private readonly bool _restoreReadOnly;
    private readonly DirtyBitmap _dirty;
    private readonly List<BlockChild> _frozen = [];
    private BlockBackend? _source, _target;
    private bool _isEnding, _keepsChain, _hasLeft;

    private CommitJob(JobRegistry registry, CommitPlan plan, CommitOptions options, CommitFilterNode filter, bool restoreReadOnly)
        : base(registry, options.JobId!, options.AutoFinalize, options.AutoDismiss)
    {
        _plan = plan;
        _options = options;
        _filter = filter;
        _restoreReadOnly = restoreReadOnly;
        _dirty = new DirtyBitmap(plan.Top.Length, CopyGranularity);
        _window = new CopyWindow(Graph, plan.Base, CopyAsync);
    }

    public override string Type => "commit";

    /// <summary>Checks, inserts the filter, and starts. Needs the control lock.</summary>
    public static async ValueTask<BlockJob> StartAsync(
        JobRegistry registry, BlockNode device, CommitOptions options, CancellationToken cancellationToken)
    {
        CommitPlan plan = CommitPlan.Make(device, options);
        registry.CheckId(options.JobId ?? "");
        bool wasReadOnly = plan.Base.IsReadOnly;
        if (wasReadOnly) await registry.Graph.SetReadOnlyAsync(plan.Base, readOnly: false, cancellationToken).ConfigureAwait(false);
        CommitFilterNode? filter = null;
        try
        {
            filter = await CommitFilterNode.OpenAsync(plan, options.FilterNodeName, cancellationToken).ConfigureAwait(false);
            var job = new CommitJob(registry, plan, options, filter, wasReadOnly);
            job.Create();
            try
            {
                job.SetSpeed(options.Speed);
                await job.EnterGraphAsync(cancellationToken).ConfigureAwait(false);
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
            if (filter is not null) await registry.Graph.ReleaseAsync(filter).ConfigureAwait(false);
            if (wasReadOnly) await RestoreReadOnlyAsync(registry.Graph, plan.Base).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Filter, holds and backends come in one change: it happens wholly or not at all.</summary>
    private async ValueTask EnterGraphAsync(CancellationToken cancellationToken)
    {
        const BlockPermissions Fixed = BlockPermissions.All & ~BlockPermissions.Resize;
        var change = new GraphTransaction(Graph);
        change.ReplaceNode(_plan.Top, _filter, edge => edge.Parent is not Job);
        var source = new BlockBackend(Graph, $"{Type} job '{Id}'", BlockPermissions.None, Fixed)
        {
            DrainBegin = PauseForDrain,
            DrainPoll = PollRest,
            DrainEnd = ResumeFromDrain,
        };
        BlockPermissions needed = BlockPermissions.Write | (_plan.Base.Length < _plan.Top.Length ? BlockPermissions.Resize : BlockPermissions.None);
        var target = new BlockBackend(Graph, $"{Type} job '{Id}'", needed, Fixed);
        Hold(change, "main node", _filter, BlockPermissions.ConsistentRead, Fixed);
        Hold(change, "source", _plan.Top, BlockPermissions.None, Fixed);
        foreach (BlockChild link in _plan.Links.SkipLast(1))
        {
            Hold(change, "intermediate node", link.Node, BlockPermissions.None, BlockPermissions.WriteUnchanged | BlockPermissions.Write);
        }

        Hold(change, "target", _plan.Base, BlockPermissions.None, BlockPermissions.All);
        change.Attach(source, "root", ChildRole.Primary, _plan.Top);
        change.Attach(target, "root", ChildRole.Primary, _plan.Base);
        change.OnCommit(() =>
        {
            _frozen.Add(_filter.Child);
            _frozen.AddRange(_plan.Links);
            foreach (BlockChild link in _frozen) link.FreezeCount++;
            _plan.TopImage.StartDirtyTracking(_dirty);
        });
        await change.PrepareAsync(cancellationToken).ConfigureAwait(false);
        await change.CommitAsync().ConfigureAwait(false);
        (_source, _target) = (source, target);
    }

    // ---- Verbs

    protected override bool TryEndReadyPhase(bool keepsChain)
    {
        if (!IsReady) return false;
        _keepsChain = keepsChain;
        _isEnding = true;
        Wake();
        return true;
    }

    // ---- The end

    protected override async ValueTask PrepareAsync()
    {
        using DrainedSection drained = await BlockGraph.DrainAsync([_filter, _plan.Top, _plan.Base, .. Overlays().Select(e => (BlockNode)e.Parent)])
            .ConfigureAwait(false);
        try
        {
            while (_dirty.TryTake(0, MaxCopy, out long offset, out int bytes))
            {
                // Drained: nobody else is in the graph.
                _window.Begin(offset, bytes);
                if ((await RetireAsync().ConfigureAwait(false)).Failure is { } failure) throw failure;
            }
        }
        finally
        {
            await SettleAsync().ConfigureAwait(false);
        }

        await _plan.Base.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        if (_keepsChain) return;

        List<BlockChild> overlays = Overlays();
        List<BlockNode> reopened = [.. overlays.Select(e => (BlockNode)e.Parent).Where(n => n.IsReadOnly)];
        foreach (BlockNode overlay in reopened) await Graph.SetReadOnlyAsync(overlay, readOnly: false).ConfigureAwait(false);
        GraphTransaction change = LeaveGraph(_plan.Base);
        try
        {
            await change.PrepareAsync().ConfigureAwait(false);
            try
            {
                foreach (BlockChild edge in overlays)
                {
                    BlockNode image = _plan.Base.SkipFilters();
                    await ((BlockNode)edge.Parent).ChangeBackingFileAsync(_options.BackingFile ?? image.Filename, image.Driver.Name, CancellationToken.None)
                        .ConfigureAwait(false);
                }
            }
            catch
            {
                change.Abort();
                throw;
            }

            change.Commit();
            _hasLeft = true;
        }
        catch
        {
            RestoreFreezing();
            throw;
        }
        finally
        {
            foreach (BlockNode overlay in reopened) await RestoreReadOnlyAsync(Graph, overlay).ConfigureAwait(false);
        }
    }

    protected override async ValueTask CleanAsync()
    {
        if (!_hasLeft)
        {
            GraphTransaction change = LeaveGraph(_plan.Top);
            await change.PrepareAsync().ConfigureAwait(false);
            await change.CommitAsync().ConfigureAwait(false);
        }

        await Graph.CloseUnreferencedAsync().ConfigureAwait(false);
        if (_restoreReadOnly) await RestoreReadOnlyAsync(Graph, _plan.Base).ConfigureAwait(false);
    }

    /// <summary>The images that record the top as their backing file. Only a commit of intermediates has some.</summary>
    private List<BlockChild> Overlays()
        => [.. _filter.Parents.Where(e => e.Parent is BlockNode && (e.Role & ChildRole.Cow) != 0)];

    /// <summary>A change that takes filter, holds and backends out, and gives the filter's users <paramref name="successor"/>.</summary>
    private GraphTransaction LeaveGraph(BlockNode successor)
    {
        foreach (BlockChild link in _frozen) link.FreezeCount--;
        var change = new GraphTransaction(Graph);
        ReleaseAll(change);
        change.Detach(_source!.Root);
        change.Detach(_target!.Root);
        change.ReplaceNode(_filter, successor, edge => edge.Parent is not Job);
        change.Detach(_filter.Child);
        change.OnCommit(() =>
        {
            _filter.ExplicitReferences--;
            _plan.TopImage.StopDirtyTracking(_dirty);
        });
        return change;
    }

    private void RestoreFreezing()
    {
        foreach (BlockChild link in _frozen) link.FreezeCount++;
    }

    private static async ValueTask RestoreReadOnlyAsync(BlockGraph graph, BlockNode node)
    {
        try
        {
            await graph.SetReadOnlyAsync(node, readOnly: true).ConfigureAwait(false);
        }
        catch (BlockException)
        {
            // Somebody writes to it by now: then it stays as it is, as in the reference.
        }
    }
}

internal sealed partial class JobRegistry
{
    /// <summary><c>block-commit</c> on the chain of <paramref name="device"/>. Needs the control lock.</summary>
    /// <exception cref="BlockException">An argument was refused, in the reference's words and order; nothing has changed.</exception>
    public ValueTask<BlockJob> StartCommitAsync(BlockNode device, CommitOptions options, CancellationToken cancellationToken = default)
        => CommitJob.StartAsync(this, device, options, cancellationToken);
}
