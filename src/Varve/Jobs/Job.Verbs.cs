namespace Varve.Jobs;

/// <content>What users ask of a job. Each needs the control lock and refuses with the reference's words.</content>
internal abstract partial class Job
{
    /// <summary><c>job-pause</c>: no further request is issued; the status becomes <c>paused</c> once those in flight are done.</summary>
    public void Pause()
    {
        lock (StateLock)
        {
            Check(JobVerb.Pause);
            if (IsUserPaused) throw Refused("Job is already paused");
            IsUserPaused = true;
            BeginPause();
        }
    }

    /// <summary><c>job-resume</c>: goes on where it was, trying a failed chunk again.</summary>
    public void Resume()
    {
        lock (StateLock)
        {
            if (!IsUserPaused || _pauseCount == 0) throw Refused("Can't resume a job that was not paused");
            Check(JobVerb.Resume);
            OnUserResume();
            IsUserPaused = false;
            EndPause();
        }
    }

    /// <summary><c>job-cancel</c> and <c>block-job-cancel</c>: takes effect at the next pause point, at once for a pending job.</summary>
    /// <param name="force">Whether a job that a user paused is cancelled too; <c>job-cancel</c> always forces.</param>
    public ValueTask CancelAsync(bool force)
    {
        lock (StateLock)
        {
            if (IsUserPaused && !force) throw Refused($"The block job for device '{Id}' is currently paused");
            Check(JobVerb.Cancel);
            if (!force && TryEndReadyPhase(keepsChain: true)) return default;
            SetCancelled();
        }

        return Status == JobStatus.Pending ? ConcludeAsync(null) : default;
    }

    /// <summary><c>job-complete</c>: ends the ready phase of a job that has one.</summary>
    public void Complete()
    {
        lock (StateLock)
        {
            Check(JobVerb.Complete);
            if (!TryEndReadyPhase(keepsChain: false)) throw Refused($"The active block job '{Id}' cannot be completed");
        }
    }

    /// <summary><c>job-finalize</c>: the job concludes before this returns. That it failed then is told by its events, not by this.</summary>
    public ValueTask FinalizeAsync()
    {
        lock (StateLock) Check(JobVerb.Finalize);
        return FinishAsync();
    }

    /// <summary><c>job-dismiss</c>: forgets a concluded job.</summary>
    public void Dismiss()
    {
        lock (StateLock)
        {
            Check(JobVerb.Dismiss);
            Disappear();
        }
    }

    /// <summary><c>block-job-change</c>, which no kind of job here has anything for.</summary>
    public void Change()
    {
        lock (StateLock)
        {
            Check(JobVerb.Change);
            throw Refused("Job type does not support change");
        }
    }

    /// <summary>Cancels whatever the status; a concluded job is dismissed. For shutting down.</summary>
    internal ValueTask CancelForShutdownAsync()
    {
        lock (StateLock)
        {
            if (Status == JobStatus.Concluded)
            {
                Disappear();
                return default;
            }

            SetCancelled();
        }

        return Status == JobStatus.Pending ? ConcludeAsync(null) : default;
    }

    /// <summary>Refuses a verb that the present status does not accept.</summary>
    protected void Check(JobVerb verb)
    {
        if (!Status.Accepts(verb)) throw Refused($"Job '{Id}' in state '{Status.Name()}' cannot accept command verb '{verb.Name()}'");
    }

    protected static BlockException Refused(string message) => new(BlockErrorKind.Invalid, message);

    private void SetCancelled()
    {
        _isCancelled = true;
        if (IsUserPaused)
        {
            IsUserPaused = false;
            _pauseCount--;
        }

        Wake();
    }
}
