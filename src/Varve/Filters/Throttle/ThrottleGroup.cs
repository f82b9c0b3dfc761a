namespace Varve.Filters.Throttle;

/// <summary>A node's place in a throttle group: its requests that wait.</summary>
internal sealed class ThrottleMember
{
    internal Queue<(long Bytes, TaskCompletionSource Passed)>[] Waiting { get; } = [new(), new()];

    /// <summary>How many drained sections let everything through.</summary>
    internal int Released { get; set; }
}

/// <summary>Limits that several nodes share (QMP object <c>throttle-group</c>). Those who wait take turns, node by node.</summary>
/// <remarks>
/// One lock, held to decide. A request that need not wait passes without allocating. Others queue with their node; one timer for
/// each direction lets the next one go when the buckets have leaked enough.
/// </remarks>
internal sealed class ThrottleGroup : IDisposable
{
    private const int Read = 0, Write = 1;
    private readonly Lock _lock = new();
    private readonly TimeProvider _time;
    private readonly List<ThrottleMember> _members = [];
    private readonly ITimer[] _timers;
    private readonly LeakyBucket[] _bytes = new LeakyBucket[3], _requests = new LeakyBucket[3];   // read, write, total
    private readonly int[] _next = new int[2];                                                    // whose turn it is, by direction
    private long _leakedAt;

    public ThrottleGroup(string name, ThrottleLimits limits, TimeProvider time)
    {
        Name = name;
        _time = time;
        _leakedAt = time.GetTimestamp();
        _timers = [CreateTimer(Read), CreateTimer(Write)];
        SetLimits(limits);
    }

    public string Name { get; }

    public ThrottleLimits Limits { get; private set; } = new();

    /// <summary>How many nodes use the group.</summary>
    public int MemberCount
    {
        get { lock (_lock) return _members.Count; }
    }

    /// <summary>Replaces the limits; who waits is judged anew.</summary>
    /// <exception cref="BlockException">They contradict each other.</exception>
    [System.Diagnostics.CodeAnalysis.MemberNotNull(nameof(Limits))]
    public void SetLimits(ThrottleLimits limits)
    {
        limits.Check();
        lock (_lock)
        {
            Limits = limits;
            (_bytes[0], _bytes[1], _bytes[2]) = (new(limits.BytesRead), new(limits.BytesWritten), new(limits.BytesTotal));
            (_requests[0], _requests[1], _requests[2]) = (new(limits.Reads), new(limits.Writes), new(limits.RequestsTotal));
        }

        LetPass(Read);
        LetPass(Write);
    }

    internal ThrottleMember Join()
    {
        var member = new ThrottleMember();
        lock (_lock) _members.Add(member);
        return member;
    }

    internal void Leave(ThrottleMember member)
    {
        lock (_lock) _members.Remove(member);
    }

    /// <summary>Waits until a request may pass.</summary>
    internal ValueTask EnterAsync(ThrottleMember member, bool isWrite, long bytes)
    {
        int direction = isWrite ? Write : Read;
        lock (_lock)
        {
            if (member.Released > 0) return default;
            if (!_members.Exists(m => m.Waiting[direction].Count > 0))
            {
                double wait = WaitOf(direction);
                if (wait <= 0)
                {
                    Fill(direction, bytes);
                    return default;
                }

                SetTimer(direction, wait);
            }

            var passed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            member.Waiting[direction].Enqueue((bytes, passed));
            return new(passed.Task);
        }
    }

    /// <summary>A drained section: what this node holds back goes, and nothing is held back until <see cref="Hold"/>.</summary>
    internal void Release(ThrottleMember member)
    {
        List<TaskCompletionSource> gone = [];
        lock (_lock)
        {
            member.Released++;
            for (int direction = Read; direction <= Write; direction++)
            {
                while (member.Waiting[direction].TryDequeue(out (long Bytes, TaskCompletionSource Passed) request))
                {
                    Fill(direction, request.Bytes);
                    gone.Add(request.Passed);
                }
            }
        }

        foreach (TaskCompletionSource passed in gone) passed.SetResult();
    }

    internal void Hold(ThrottleMember member)
    {
        lock (_lock) member.Released--;
    }

    public void Dispose()
    {
        foreach (ITimer timer in _timers) timer.Dispose();
    }

    private ITimer CreateTimer(int direction)
        => _time.CreateTimer(_ => LetPass(direction), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);

    private void LetPass(int direction)
    {
        List<TaskCompletionSource> gone = [];
        lock (_lock)
        {
            while (NextWaiting(direction) is { } member)
            {
                double wait = WaitOf(direction);
                if (wait > 0)
                {
                    SetTimer(direction, wait);
                    break;
                }

                (long bytes, TaskCompletionSource passed) = member.Waiting[direction].Dequeue();
                Fill(direction, bytes);
                gone.Add(passed);
                _next[direction] = _members.IndexOf(member) + 1;
            }
        }

        foreach (TaskCompletionSource passed in gone) passed.SetResult();
    }

    private ThrottleMember? NextWaiting(int direction)
    {
        for (int i = 0; i < _members.Count; i++)
        {
            ThrottleMember member = _members[(_next[direction] + i) % _members.Count];
            if (member.Waiting[direction].Count > 0) return member;
        }

        return null;
    }

    private double WaitOf(int direction)
    {
        long now = _time.GetTimestamp();
        double seconds = _time.GetElapsedTime(_leakedAt, now).TotalSeconds;
        _leakedAt = now;
        for (int i = 0; i < _bytes.Length; i++)
        {
            _bytes[i].Leak(seconds);
            _requests[i].Leak(seconds);
        }

        return Math.Max(
            Math.Max(_bytes[direction].Wait, _bytes[2].Wait), Math.Max(_requests[direction].Wait, _requests[2].Wait));
    }

    private void Fill(int direction, long bytes)
    {
        double requests = Limits.RequestSize > 0 && bytes > Limits.RequestSize ? (double)bytes / Limits.RequestSize : 1;
        _bytes[direction].Fill(bytes);
        _bytes[2].Fill(bytes);
        _requests[direction].Fill(requests);
        _requests[2].Fill(requests);
    }

    private void SetTimer(int direction, double seconds)
        => _timers[direction].Change(TimeSpan.FromSeconds(Math.Min(seconds, 3600)) + TimeSpan.FromMilliseconds(1), Timeout.InfiniteTimeSpan);
}
