namespace Varve.IO;

/// <summary>One request that is in a <see cref="RequestTracker"/>, waiting or in flight.</summary>
internal sealed class TrackedRequest
{
    internal long Offset, Length;
    internal bool Serialising, IsWaiting;
    internal int Overtaken;
    internal TrackedRequest? Next, Previous;
    internal List<TaskCompletionSource>? Waiters;

    internal bool Conflicts(TrackedRequest other)
        => (Serialising || other.Serialising) && Offset < other.Offset + other.Length && other.Offset < Offset + Length;
}

// Requests of one node
//   1. Two that overlap are never in flight together when one of them is serialising; others may overlap each other freely.
//   2. A request waits for those in flight. One that waits itself is passed by, as in the reference: what it waits for may be a long
//      way from what came after it. But only MaxOvertaken times: then those that come later wait behind it, so nobody is starved.
//   3. Who waits, waits for a request in flight or for a waiting one that came before it. So there is no cycle and no deadlock.
//   4. Who is in the tracker does not enter it again: the node's own work for a request goes to its driver directly.

/// <summary>Makes overlapping requests wait for each other where one of them must be alone: read-modify-write, copy-on-read.</summary>
internal sealed class RequestTracker
{
    /// <summary>How many requests may pass one that waits.</summary>
    public const int MaxOvertaken = 16;

    private readonly Lock _lock = new();
    private readonly Stack<TrackedRequest> _free = new();
    private TrackedRequest? _first, _last;

    /// <summary>Registers a request, and waits for those before it that it must not overlap.</summary>
    /// <param name="offset">Bytes.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="serialising">Whether the request must be alone on its range.</param>
    /// <returns>What <see cref="Exit"/> takes.</returns>
    public ValueTask<TrackedRequest> EnterAsync(long offset, long length, bool serialising)
    {
        TrackedRequest request;
        Task? obstacle;
        lock (_lock)
        {
            request = _free.TryPop(out TrackedRequest? reused) ? reused : new TrackedRequest();
            (request.Offset, request.Length, request.Serialising, request.Overtaken) = (offset, length, serialising, 0);
            request.Previous = _last;
            if (_last is null) _first = request; else _last.Next = request;
            _last = request;
            obstacle = Obstacle(request);
        }

        return obstacle is null ? new(request) : WaitAsync(request, obstacle);
    }

    /// <summary>The request is done; whoever waited for it looks again.</summary>
    public void Exit(TrackedRequest request)
    {
        List<TaskCompletionSource>? waiters;
        lock (_lock)
        {
            if (request.Previous is null) _first = request.Next; else request.Previous.Next = request.Next;
            if (request.Next is null) _last = request.Previous; else request.Next.Previous = request.Previous;
            request.Next = request.Previous = null;
            waiters = request.Waiters;
            request.Waiters = null;
            _free.Push(request);
        }

        if (waiters is null) return;
        foreach (TaskCompletionSource waiter in waiters) waiter.SetResult();
    }

    private async ValueTask<TrackedRequest> WaitAsync(TrackedRequest request, Task? obstacle)
    {
        while (obstacle is not null)
        {
            await obstacle.ConfigureAwait(false);
            lock (_lock) obstacle = Obstacle(request);
        }

        return request;
    }

    /// <summary>The end of a request that stands in the way; null when none does.</summary>
    private Task? Obstacle(TrackedRequest request)
    {
        request.IsWaiting = false;
        if (FindObstacle(request) is not { } obstacle)
        {
            CountOvertaken(request);
            return null;
        }

        request.IsWaiting = true;
        var waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        (obstacle.Waiters ??= []).Add(waiter);
        return waiter.Task;
    }

    private TrackedRequest? FindObstacle(TrackedRequest request)
    {
        bool isBefore = true;
        for (TrackedRequest? other = _first; other is not null; other = other.Next)
        {
            if (ReferenceEquals(other, request)) isBefore = false;
            else if (other.Conflicts(request) && (!other.IsWaiting || (isBefore && other.Overtaken >= MaxOvertaken))) return other;
        }

        return null;
    }

    private static void CountOvertaken(TrackedRequest request)
    {
        for (TrackedRequest? earlier = request.Previous; earlier is not null; earlier = earlier.Previous)
        {
            if (earlier.IsWaiting && earlier.Conflicts(request)) earlier.Overtaken++;
        }
    }
}
