using Varve.Graph;

namespace Varve.Jobs;

// The life of a job
//   1. Status, pauses, progress and the flags below change under JobRegistry.StateLock, and events are raised under it: their order is
//      the order in which things happened. Nothing that waits is done under it.
//   2. The work (RunAsync) runs on its own, without the control lock. Everything after it (prepare, commit or abort, clean, the
//      concluding events) holds the control lock, so it happens either wholly before or wholly after any QMP command.
//   3. A job is at rest when no request of it is in the graph: while it is paused, and once RunAsync has ended. A drained section
//      pauses the job and waits for that; a job never waits for the control lock before it is at rest.

/// <summary>Something long that runs beside the guest: its status, its pauses, its end.</summary>
internal abstract partial class Job : IBlockParent
{
    private readonly TaskCompletionSource _concluded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource? _wake, _rest;
    private int _pauseCount;
    private bool _isPaused, _hasRunEnded;
    private volatile bool _isCancelled;

    protected Job(JobRegistry registry, string id, bool autoFinalize, bool autoDismiss)
    {
        Registry = registry;
        Id = id;
        AutoFinalize = autoFinalize;
        AutoDismiss = autoDismiss;
    }

    public JobRegistry Registry { get; }

    public string Id { get; }

    /// <summary>QMP's <c>JobType</c>.</summary>
    public abstract string Type { get; }

    /// <summary>Whether the job waits for no <c>job-finalize</c>.</summary>
    public bool AutoFinalize { get; }

    /// <summary>Whether the job disappears when it is concluded.</summary>
    public bool AutoDismiss { get; }

    public JobStatus Status { get; private set; }

    /// <summary>Whether somebody has cancelled the job.</summary>
    public bool IsCancelled => _isCancelled;

    /// <summary>Whether a user (or an error under <c>on-error=stop</c>) paused it, so that only a user resumes it.</summary>
    public bool IsUserPaused { get; private set; }

    /// <summary>Whether it is doing something: false while it is paused or sleeps for its speed limit.</summary>
    public bool IsBusy { get; private set; }

    /// <summary>How far the job is, in the unit of <see cref="TotalProgress"/> (bytes for block jobs).</summary>
    public long CurrentProgress { get; private set; }

    /// <summary>What <see cref="CurrentProgress"/> reaches; 0 until it is known.</summary>
    public long TotalProgress { get; private set; }

    /// <summary>Why the job failed; null when it has not.</summary>
    public string? Error { get; private set; }

    /// <summary>The failure itself, for callers in this process; null when there was none.</summary>
    public BlockException? Failure { get; private set; }

    /// <summary>Completes, always successfully, when the job is concluded; <see cref="Error"/> says how.</summary>
    public Task Completion => _concluded.Task;

    /// <summary>Whether the job was asked to pause, by anybody.</summary>
    public bool IsPausing => Volatile.Read(ref _pauseCount) > 0;

    /// <summary>Permission errors name the job so.</summary>
    string IBlockParent.Description => $"{Type} job '{Id}'";

    protected Lock StateLock => Registry.StateLock;

    protected BlockGraph Graph => Registry.Graph;

    public JobInfo GetInfo()
    {
        lock (StateLock) return new JobInfo(Id, Type, Status, CurrentProgress, TotalProgress, Error);
    }

    // ---- What a kind of job does

    /// <summary>The work. Runs without the control lock, calls <see cref="PausePointAsync"/> often, returns early when cancelled.</summary>
    /// <exception cref="BlockException">The job failed.</exception>
    protected abstract Task RunAsync();

    /// <summary>The work is done: whatever can still fail happens here. Control lock held.</summary>
    /// <exception cref="BlockException">The job failed after all.</exception>
    protected virtual ValueTask PrepareAsync() => default;

    /// <summary>The job succeeded. Control lock held.</summary>
    protected virtual ValueTask CommitAsync() => default;

    /// <summary>The job failed or was cancelled; also after a <see cref="PrepareAsync"/> that threw. Control lock held.</summary>
    protected virtual ValueTask AbortAsync() => default;

    /// <summary>Either way, at the very end: give back what the job held. Control lock held.</summary>
    protected virtual ValueTask CleanAsync() => default;

    /// <summary>What users are told about a failure.</summary>
    protected virtual string Describe(BlockException failure) => failure.Message;

    /// <summary>The kind's own event at the end, between clean and concluded. Under <see cref="StateLock"/>.</summary>
    protected virtual void RaiseEnded() { }

    /// <summary>The kind's own event when the job is ready. Under <see cref="StateLock"/>.</summary>
    protected virtual void RaiseReady() { }

    /// <summary>The kind's own event when the job waits to be finalized. Under <see cref="StateLock"/>.</summary>
    protected virtual void RaisePending() { }

    /// <summary>Ends the ready phase of a job that has one and is in it. Under <see cref="StateLock"/>.</summary>
    /// <param name="keepsChain">Whether the job ends without its effect on the graph: a cancel that is not forced.</param>
    /// <returns>False when there is no such phase.</returns>
    protected virtual bool TryEndReadyPhase(bool keepsChain) => false;

    /// <summary>A user resumes the job. Under <see cref="StateLock"/>.</summary>
    protected virtual void OnUserResume() { }

    // ---- Life

    /// <summary>The job exists: from now on it is listed. Needs the control lock.</summary>
    internal void Create()
    {
        lock (StateLock)
        {
            Registry.Add(this);
            Become(JobStatus.Created);
        }
    }

    /// <summary>The job never ran: it disappears again. Needs the control lock.</summary>
    internal void Discard()
    {
        lock (StateLock) Disappear();
    }

    /// <summary>Sets the job going. Needs the control lock, which the caller holds until its own reply is on its way.</summary>
    internal void Start()
    {
        lock (StateLock)
        {
            IsBusy = true;
            Become(JobStatus.Running);
        }

        _ = Task.Run(RunToEndAsync);   // owned by Completion
    }

    private async Task RunToEndAsync()
    {
        BlockException? failure = null;
        try
        {
            await PausePointAsync().ConfigureAwait(false);
            if (!IsCancelled) await RunAsync().ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            failure = e;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            failure = Unforeseen(e);
        }

        EndRun();
        using IDisposable held = await Graph.ControlLock.EnterAsync().ConfigureAwait(false);
        await CompleteRunAsync(failure).ConfigureAwait(false);
    }

    /// <summary>A defect of ours: the job ends with it, the guest goes on.</summary>
    private static BlockException Unforeseen(Exception defect) => new(BlockErrorKind.Io, defect.Message, defect);

    private void EndRun()
    {
        TaskCompletionSource? rest;
        lock (StateLock)
        {
            _hasRunEnded = true;
            IsBusy = false;
            (rest, _rest) = (_rest, null);
        }

        rest?.SetResult();
    }

    private async ValueTask CompleteRunAsync(BlockException? failure)
    {
        if (failure is not null || IsCancelled)
        {
            await ConcludeAsync(failure).ConfigureAwait(false);
            return;
        }

        lock (StateLock)
        {
            if (Status == JobStatus.Standby) Become(JobStatus.Ready);
            Become(JobStatus.Waiting);
            Become(JobStatus.Pending);
            if (!AutoFinalize)
            {
                RaisePending();
                return;
            }
        }

        await FinishAsync().ConfigureAwait(false);
    }

    /// <summary>From pending to concluded.</summary>
    private async ValueTask FinishAsync()
    {
        BlockException? failure = null;
        try
        {
            await PrepareAsync().ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            failure = e;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            failure = Unforeseen(e);
        }

        await ConcludeAsync(failure).ConfigureAwait(false);
    }

    private async ValueTask ConcludeAsync(BlockException? failure)
    {
        if (failure is null && IsCancelled) failure = BlockException.FromErrno(Errno.ECANCELED);
        try
        {
            if (failure is not null)
            {
                lock (StateLock)
                {
                    if (_isPaused) LeavePause();
                    Failure = failure;
                    Error = IsCancelled ? Errno.Text(Errno.ECANCELED) : Describe(failure);
                    Become(JobStatus.Aborting);
                }

                await AbortAsync().ConfigureAwait(false);
            }
            else
            {
                await CommitAsync().ConfigureAwait(false);
            }

            await CleanAsync().ConfigureAwait(false);
        }
        finally
        {
            // Whatever happens, nobody waits for this job for ever.
            lock (StateLock)
            {
                RaiseEnded();
                Become(JobStatus.Concluded);
                if (AutoDismiss) Disappear();
            }

            _concluded.SetResult();
        }
    }

    private void Disappear()
    {
        Become(JobStatus.Null);
        Registry.Remove(this);
    }

    /// <summary>The job has caught up, and waits to be completed.</summary>
    protected void BecomeReady()
    {
        lock (StateLock)
        {
            Become(JobStatus.Ready);
            RaiseReady();
        }
    }

    private void Become(JobStatus status)
    {
        if (!Status.MayBecome(status)) throw new InvalidOperationException($"Job '{Id}' cannot go from {Status.Name()} to {status.Name()}");
        Status = status;
        Raise(new JobStatusChange(Id, status));
    }

    /// <summary>Tells the listeners. Under <see cref="StateLock"/>.</summary>
    protected void Raise(JobEvent jobEvent) => Registry.Raise(jobEvent);

    // ---- Progress

    /// <summary>What there is to do is known now.</summary>
    protected void SetTotal(long total)
    {
        lock (StateLock) TotalProgress = total;
    }

    /// <summary>So much more is done.</summary>
    protected void Advance(long done)
    {
        lock (StateLock) CurrentProgress += done;
    }
}
