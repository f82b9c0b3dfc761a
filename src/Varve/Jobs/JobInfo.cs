namespace Varve.Jobs;

/// <summary>A job at one moment, as <c>query-jobs</c> shows it.</summary>
internal sealed record JobInfo(string Id, string Type, JobStatus Status, long CurrentProgress, long TotalProgress, string? Error);

/// <summary>A block job at one moment, as <c>query-block-jobs</c> shows it.</summary>
internal sealed record BlockJobInfo(
    string Type, string Device, long Len, long Offset, bool Busy, bool Paused, long Speed, IOStatus IOStatus, bool Ready, JobStatus Status,
    bool AutoFinalize, bool AutoDismiss, string? Error);
