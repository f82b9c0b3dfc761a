namespace Varve.Jobs;

/// <content>Pausing, sleeping and waking: how a running job comes to rest for a user or for a drained section.</content>
internal abstract partial class Job
{
    /// <summary>Comes to rest here for as long as somebody wants it. The job has no request in the graph when it calls this.</summary>
    /// <remarks>Returns at once, and for good, when the job is cancelled: the caller checks.</remarks>
    protected async ValueTask PausePointAsync()
    {
        while (true)
        {
            Task wake;
            TaskCompletionSource? rest;
            lock (StateLock)
            {
                if (_pauseCount == 0 || IsCancelled)
                {
                    if (_isPaused) LeavePause();
                    IsBusy = true;
                    return;
                }

                if (!_isPaused) EnterPause();
                (rest, _rest) = (_rest, null);
                wake = WakeTask();
            }

            rest?.SetResult();
            await wake.ConfigureAwait(false);
        }
    }

    /// <summary>Sleeps, unless woken (by a pause, a cancel, a change of speed). The job has no request in the graph.</summary>
    /// <param name="delay">How long; not at all for zero. Asked under <see cref="StateLock"/>, in one step with what makes the job wakeable:
    /// what changes the answer afterwards wakes it.</param>
    /// <returns>Whether it slept.</returns>
    protected async ValueTask<bool> SleepAsync(Func<TimeSpan> delay)
    {
        Task wake;
        TimeSpan time;
        lock (StateLock)
        {
            time = delay();
            if (time == TimeSpan.Zero || _pauseCount > 0 || IsCancelled) return false;
            IsBusy = false;
            wake = WakeTask();
        }

        using var timer = new CancellationTokenSource(time, Graph.Time);
        await Task.WhenAny(wake, Task.Delay(Timeout.InfiniteTimeSpan, timer.Token)).ConfigureAwait(false);
        lock (StateLock) IsBusy = true;
        return true;
    }

    /// <summary>Ends a sleep early. Under <see cref="StateLock"/>.</summary>
    protected void Wake()
    {
        _wake?.SetResult();
        _wake = null;
    }

    /// <summary>One more reason to rest: a drained section.</summary>
    internal void PauseForDrain()
    {
        lock (StateLock) BeginPause();
    }

    /// <summary>One reason to rest less.</summary>
    internal void ResumeFromDrain()
    {
        lock (StateLock) EndPause();
    }

    /// <summary>What a drained section waits for: null when the job is at rest.</summary>
    internal Task? PollRest()
    {
        lock (StateLock)
        {
            bool atRest = _isPaused || _hasRunEnded || Status is JobStatus.Undefined or JobStatus.Created;
            return atRest ? null : (_rest ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }
    }

    /// <summary>An error stops the job until a user resumes it. Under <see cref="StateLock"/>.</summary>
    protected void PauseBecauseOfError()
    {
        if (IsUserPaused) return;
        IsUserPaused = true;
        BeginPause();
    }

    private void BeginPause()
    {
        _pauseCount++;
        if (!_isPaused) Wake();
    }

    private void EndPause()
    {
        if (--_pauseCount == 0) Wake();
    }

    private void EnterPause()
    {
        _isPaused = true;
        IsBusy = false;
        Become(Status == JobStatus.Ready ? JobStatus.Standby : JobStatus.Paused);
    }

    private void LeavePause()
    {
        _isPaused = false;
        Become(Status == JobStatus.Standby ? JobStatus.Ready : JobStatus.Running);
    }

    private Task WakeTask() => (_wake ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
}
