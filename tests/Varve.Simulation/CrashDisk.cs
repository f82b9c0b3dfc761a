namespace Varve.Simulation;

/// <summary>How well a disk behaves.</summary>
internal sealed record DiskBehaviour
{
    /// <summary>Requests complete at once, in order: for looking at a survivor.</summary>
    public bool IsInstant { get; init; }

    /// <summary>Of a thousand requests, how many fail with EIO.</summary>
    public int FailuresPerThousand { get; init; }
}

/// <summary>A seeded disk of named files: completes requests late and in any order, fails them, and loses power at any of them.</summary>
/// <remarks>
/// Requests wait here and are completed one at a time by a work item in the thread pool's global queue, which the pool's only worker
/// comes to when it has nothing else to do. So each completion meets a program at rest, and the seed alone decides what happens.
/// </remarks>
internal sealed class CrashDisk(int seed, DiskBehaviour behaviour) : IThreadPoolWorkItem
{
    private readonly List<(TaskCompletionSource Done, Action Perform)> _pending = [];
    private bool _isScheduled;

    public Dictionary<string, CrashFile> Files { get; init; } = new(StringComparer.Ordinal);

    public Random Random { get; } = new(seed);

    public DiskBehaviour Behaviour => behaviour;

    /// <summary>Requests completed so far; each one is a boundary at which power may be lost.</summary>
    public int Boundaries { get; private set; }

    /// <summary>Called at each boundary, before the request takes effect.</summary>
    public Action? AtBoundary { get; set; }

    /// <summary>A running hash of everything requested, in order: equal for equal seeds.</summary>
    public ulong Trace { get; private set; } = 14695981039346656037;

    /// <summary>Flushes complete without making anything durable: every order that depends on them is lost.</summary>
    public bool IgnoresFlushes { get; set; }

    /// <summary>As <see cref="IgnoresFlushes"/>, for files whose name ends so; null: none.</summary>
    public string? IgnoresFlushesOf { get; set; }

    /// <summary>Whether a flush of a file would be in vain.</summary>
    public bool IgnoresFlush(string file) => IgnoresFlushes || (IgnoresFlushesOf is { } suffix && file.EndsWith(suffix, StringComparison.Ordinal));

    public bool IsOff { get; private set; }

    /// <summary>Everything that waits, and everything that comes, fails.</summary>
    public void PowerOff() => IsOff = true;

    /// <summary>Issues a request: <paramref name="perform"/> runs when it completes, <paramref name="fail"/> when it fails.</summary>
    public ValueTask RequestAsync(char kind, string file, long offset, long length, Action perform, Action? fail = null)
    {
        Note(kind, file, offset, length);
        if (IsOff) return ValueTask.FromException(PowerLost());
        if (behaviour.IsInstant)
        {
            perform();
            return default;
        }

        if (behaviour.FailuresPerThousand > 0 && Random.Next(1000) < behaviour.FailuresPerThousand)
        {
            perform = () =>
            {
                fail?.Invoke();
                throw BlockException.FromErrno(Errno.EIO);
            };
        }

        if (Random.Next(4) == 0) return PerformNow(perform);     // a hit: completes before the call returns

        var done = new TaskCompletionSource();
        _pending.Add((done, perform));
        Schedule();
        return new(done.Task);
    }

    /// <summary>The disk as it may be found when power comes back.</summary>
    public CrashDisk AfterPowerLoss(int survivorSeed, DiskBehaviour next)
    {
        var random = new Random(survivorSeed);
        return new CrashDisk(survivorSeed, next)
        {
            Files = Files.OrderBy(f => f.Key, StringComparer.Ordinal)
                .ToDictionary(f => f.Key, f => f.Value.AfterPowerLoss(random), StringComparer.Ordinal),
        };
    }

    void IThreadPoolWorkItem.Execute()
    {
        _isScheduled = false;
        if (_pending.Count == 0) return;
        int index = Random.Next(_pending.Count);
        (TaskCompletionSource done, Action perform) = _pending[index];
        _pending.RemoveAt(index);
        if (_pending.Count > 0) Schedule();
        ValueTask outcome = PerformNow(perform);
        if (outcome.IsCompletedSuccessfully) done.SetResult();
        else done.SetException(outcome.AsTask().Exception!.InnerException!);
    }

    private ValueTask PerformNow(Action perform)
    {
        if (!IsOff)
        {
            Boundaries++;
            AtBoundary?.Invoke();
        }

        if (IsOff) return ValueTask.FromException(PowerLost());
        try
        {
            perform();
            return default;
        }
        catch (BlockException e)
        {
            return ValueTask.FromException(e);
        }
    }

    private void Schedule()
    {
        if (_isScheduled) return;
        _isScheduled = true;
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    private static BlockException PowerLost() => new(BlockErrorKind.Io, "The power is off");

    private void Note(char kind, string file, long offset, long length)
    {
        foreach (ulong value in (ReadOnlySpan<ulong>)[kind, file[^1], (ulong)offset, (ulong)length]) Trace = (Trace ^ value) * 1099511628211;
    }
}
