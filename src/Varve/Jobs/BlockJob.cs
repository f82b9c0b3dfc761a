using Varve.Graph;

namespace Varve.Jobs;

/// <summary>A job on nodes of the graph: with a speed, an I/O status, and a hold on every node it touches.</summary>
internal abstract class BlockJob(JobRegistry registry, string id, bool autoFinalize, bool autoDismiss)
    : Job(registry, id, autoFinalize, autoDismiss)
{
    private readonly RateLimit _limit = new(registry.Graph.Time);
    private readonly List<BlockChild> _edges = [];
    private readonly List<BlockNode> _blocked = [];

    /// <summary>Bytes per second; 0: as fast as it goes.</summary>
    public long Speed { get; private set; }

    /// <summary>Whether an error has stopped the job.</summary>
    public IOStatus IOStatus { get; private set; }

    /// <summary>Whether the job has reached its ready phase.</summary>
    public bool IsReady => Status is JobStatus.Ready or JobStatus.Standby;

    /// <summary>Why other operations are refused on the nodes of this job.</summary>
    public string Blocker => $"block device is in use by block job: {Type}";

    /// <summary>The job's hold on each node, released at the end.</summary>
    protected IReadOnlyList<BlockChild> Edges => _edges;

    public BlockJobInfo GetBlockJobInfo()
    {
        lock (StateLock)
        {
            return new BlockJobInfo(
                Type, Id, TotalProgress, CurrentProgress, IsBusy, IsPausing, Speed, IOStatus, IsReady, Status, AutoFinalize, AutoDismiss, Error);
        }
    }

    /// <summary><c>block-job-set-speed</c>: bytes per second, 0 for no limit. Needs the control lock.</summary>
    public void SetSpeed(long bytesPerSecond)
    {
        lock (StateLock)
        {
            Check(JobVerb.SetSpeed);
            if (bytesPerSecond < 0) throw Refused("Parameter 'speed' expects a non-negative value");
            bool faster = bytesPerSecond == 0 || bytesPerSecond > Speed;
            Speed = bytesPerSecond;
            _limit.SetSpeed(bytesPerSecond);
            if (faster) Wake();
        }
    }

    /// <summary>Notes a hold on <paramref name="node"/> in <paramref name="change"/>: other operations are refused from its commit on.</summary>
    protected void Hold(GraphTransaction change, string name, BlockNode node, BlockPermissions needed, BlockPermissions shared)
    {
        var edge = new BlockChild(this, name, default);
        change.Attach(edge, node, needed, shared);
        change.OnCommit(() =>
        {
            _edges.Add(edge);
            _blocked.Add(node);
            node.OperationBlockers.Add(Blocker);
        });
    }

    /// <summary>Notes in <paramref name="change"/> that the job lets all its nodes go.</summary>
    protected void ReleaseAll(GraphTransaction change)
    {
        foreach (BlockChild edge in _edges) change.Detach(edge);
        change.OnCommit(() =>
        {
            foreach (BlockNode node in _blocked) node.OperationBlockers.Remove(Blocker);
            _edges.Clear();
            _blocked.Clear();
        });
    }

    /// <summary>Tells that a request failed and what follows from it; with <see cref="ErrorAction.Stop"/> the job pauses at its next pause point.</summary>
    protected ErrorAction OnRequestError(OnError policy, string operation, int errno)
    {
        ErrorAction action = policy.ActionFor(errno);
        lock (StateLock)
        {
            Raise(new BlockJobError(Id, operation, action));
            if (action == ErrorAction.Stop)
            {
                PauseBecauseOfError();
                if (IOStatus == IOStatus.Ok) IOStatus = errno == Errno.ENOSPC ? IOStatus.NoSpace : IOStatus.Failed;
            }
        }

        return action;
    }

    /// <summary>Copied bytes count against the speed limit.</summary>
    protected void AccountCopied(long bytes)
    {
        lock (StateLock) _limit.Account(bytes);
    }

    /// <summary>A pause point that also waits for the speed limit. The job has no request in the graph.</summary>
    protected async ValueTask PauseForSpeedAsync()
    {
        do await PausePointAsync().ConfigureAwait(false);
        while (!IsCancelled && (await SleepAsync(_limit.GetDelay).ConfigureAwait(false) || IsPausing));
    }

    protected override void OnUserResume() => IOStatus = IOStatus.Ok;

    /// <summary>Block jobs fail with an errno, and say its text.</summary>
    protected override string Describe(BlockException failure) => Errno.Text(failure.Errno);

    protected override void RaiseReady() => Raise(new BlockJobReady(Type, Id, TotalProgress, CurrentProgress, Speed));

    protected override void RaisePending() => Raise(new BlockJobPending(Type, Id));

    protected override void RaiseEnded()
    {
        if (IsCancelled) Raise(new BlockJobCancelled(Type, Id, TotalProgress, CurrentProgress, Speed));
        else Raise(new BlockJobCompleted(Type, Id, TotalProgress, CurrentProgress, Speed, Error));
    }
}
