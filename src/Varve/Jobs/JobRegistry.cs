using Varve.Graph;

namespace Varve.Jobs;

/// <summary>The jobs of one graph: listed, found by id, started, told about.</summary>
internal sealed partial class JobRegistry(BlockGraph graph)
{
    private readonly LinkedList<Job> _newestFirst = new();

    public BlockGraph Graph { get; } = graph;

    /// <summary>Held while the state of a job changes and while events are raised; never while waiting.</summary>
    internal Lock StateLock { get; } = new();

    /// <summary>Raised in the order of what happened, under a lock: handlers note the event and return.</summary>
    public event Action<JobEvent>? Occurred;

    /// <summary>Every job, newest first, as <c>query-jobs</c> lists them.</summary>
    public IReadOnlyList<Job> Jobs
    {
        get { lock (StateLock) return [.. _newestFirst]; }
    }

    /// <summary>The job with this id, or null: <c>job-*</c> commands answer <c>Job not found</c>.</summary>
    public Job? Find(string id)
    {
        lock (StateLock) return _newestFirst.FirstOrDefault(j => j.Id == id);
    }

    /// <summary>The block job with this id, or null: <c>block-job-*</c> commands answer <c>Block job 'id' not found</c> (DeviceNotActive).</summary>
    public BlockJob? FindBlockJob(string id) => Find(id) as BlockJob;

    /// <summary>Cancels every job and waits until all are gone. The control lock is not held by the caller.</summary>
    public async Task CancelAllAsync()
    {
        foreach (Job job in Jobs)
        {
            using (await Graph.ControlLock.EnterAsync().ConfigureAwait(false)) await job.CancelForShutdownAsync().ConfigureAwait(false);
            await job.Completion.ConfigureAwait(false);
            using (await Graph.ControlLock.EnterAsync().ConfigureAwait(false))
            {
                if (job.Status == JobStatus.Concluded) await job.CancelForShutdownAsync().ConfigureAwait(false);
            }
        }
    }

    /// <summary>Refuses an id that is malformed or taken.</summary>
    internal void CheckId(string? id)
    {
        if (!IsWellFormed(id)) throw new BlockException(BlockErrorKind.Invalid, $"Invalid job ID '{id}'");
        if (Find(id!) is not null) throw new BlockException(BlockErrorKind.InUse, $"Job ID '{id}' already in use");
    }

    internal void Add(Job job) => _newestFirst.AddFirst(job);

    internal void Remove(Job job) => _newestFirst.Remove(job);

    internal void Raise(JobEvent jobEvent) => Occurred?.Invoke(jobEvent);

    private static bool IsWellFormed(string? id)
        => id is { Length: > 0 } && char.IsAsciiLetter(id[0]) && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_');
}
