namespace Varve.Jobs;

/// <summary>Something that happened to a job; the members of each are those of the QMP event it becomes.</summary>
/// <param name="Name">The event's name on the wire.</param>
internal abstract record JobEvent(string Name);

/// <summary>Every change of status.</summary>
internal sealed record JobStatusChange(string Id, JobStatus Status) : JobEvent("JOB_STATUS_CHANGE");

/// <summary>A block job ended, well or with <paramref name="Error"/>.</summary>
internal sealed record BlockJobCompleted(string Type, string Device, long Len, long Offset, long Speed, string? Error)
    : JobEvent("BLOCK_JOB_COMPLETED");

/// <summary>A block job was cancelled.</summary>
internal sealed record BlockJobCancelled(string Type, string Device, long Len, long Offset, long Speed) : JobEvent("BLOCK_JOB_CANCELLED");

/// <summary>A request of a block job failed.</summary>
/// <param name="Device">The job's id.</param>
/// <param name="Operation"><c>read</c> or <c>write</c>.</param>
/// <param name="Action">What the job does about it.</param>
internal sealed record BlockJobError(string Device, string Operation, ErrorAction Action) : JobEvent("BLOCK_JOB_ERROR");

/// <summary>A block job waits to be finalized.</summary>
internal sealed record BlockJobPending(string Type, string Id) : JobEvent("BLOCK_JOB_PENDING");

/// <summary>A block job can be completed.</summary>
internal sealed record BlockJobReady(string Type, string Device, long Len, long Offset, long Speed) : JobEvent("BLOCK_JOB_READY");
