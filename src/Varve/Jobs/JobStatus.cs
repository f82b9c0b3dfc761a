namespace Varve.Jobs;

/// <summary>Where a job is in its life (QMP <c>JobStatus</c>).</summary>
internal enum JobStatus { Undefined, Created, Running, Paused, Ready, Standby, Waiting, Pending, Aborting, Concluded, Null }

/// <summary>What a user may ask of a job (QMP <c>JobVerb</c>).</summary>
internal enum JobVerb { Cancel, Pause, Resume, SetSpeed, Complete, Finalize, Dismiss, Change }

/// <summary>The life of a job as two tables: which status follows which, and which verbs a status accepts.</summary>
internal static class JobStatusRules
{
    private static readonly Dictionary<JobStatus, JobStatus[]> s_next = new()
    {
        [JobStatus.Undefined] = [JobStatus.Created],
        [JobStatus.Created] = [JobStatus.Running, JobStatus.Aborting, JobStatus.Null],
        [JobStatus.Running] = [JobStatus.Paused, JobStatus.Ready, JobStatus.Waiting, JobStatus.Aborting],
        [JobStatus.Paused] = [JobStatus.Running],
        [JobStatus.Ready] = [JobStatus.Standby, JobStatus.Waiting, JobStatus.Aborting],
        [JobStatus.Standby] = [JobStatus.Ready],
        [JobStatus.Waiting] = [JobStatus.Pending, JobStatus.Aborting],
        [JobStatus.Pending] = [JobStatus.Aborting, JobStatus.Concluded],
        [JobStatus.Aborting] = [JobStatus.Aborting, JobStatus.Concluded],
        [JobStatus.Concluded] = [JobStatus.Null],
        [JobStatus.Null] = [],
    };

    /// <summary>Whether a job may go from one status to the other.</summary>
    public static bool MayBecome(this JobStatus from, JobStatus to) => s_next[from].Contains(to);

    /// <summary>Whether a job in this status does what <paramref name="verb"/> asks.</summary>
    public static bool Accepts(this JobStatus status, JobVerb verb) => verb switch
    {
        JobVerb.Cancel => status is JobStatus.Created or JobStatus.Running or JobStatus.Paused or JobStatus.Ready or JobStatus.Standby
            or JobStatus.Waiting or JobStatus.Pending,
        JobVerb.Pause or JobVerb.Resume or JobVerb.SetSpeed or JobVerb.Change => status is JobStatus.Created or JobStatus.Running
            or JobStatus.Paused or JobStatus.Ready or JobStatus.Standby,
        JobVerb.Complete => status is JobStatus.Ready or JobStatus.Standby,
        JobVerb.Finalize => status is JobStatus.Pending,
        JobVerb.Dismiss => status is JobStatus.Concluded,
        _ => false,
    };

    /// <summary>The word on the wire.</summary>
    public static string Name(this JobStatus status) => status switch
    {
        JobStatus.Undefined => "undefined",
        JobStatus.Created => "created",
        JobStatus.Running => "running",
        JobStatus.Paused => "paused",
        JobStatus.Ready => "ready",
        JobStatus.Standby => "standby",
        JobStatus.Waiting => "waiting",
        JobStatus.Pending => "pending",
        JobStatus.Aborting => "aborting",
        JobStatus.Concluded => "concluded",
        _ => "null",
    };

    /// <summary>The word on the wire.</summary>
    public static string Name(this JobVerb verb) => verb switch
    {
        JobVerb.Cancel => "cancel",
        JobVerb.Pause => "pause",
        JobVerb.Resume => "resume",
        JobVerb.SetSpeed => "set-speed",
        JobVerb.Complete => "complete",
        JobVerb.Finalize => "finalize",
        JobVerb.Dismiss => "dismiss",
        _ => "change",
    };
}
