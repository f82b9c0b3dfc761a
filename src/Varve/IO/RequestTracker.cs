namespace Varve.IO;

/// <summary>One request that is in flight in a <see cref="RequestTracker"/>.</summary>
internal sealed class TrackedRequest
{
    internal long Offset, Length;
    internal bool Serialising;
    internal TrackedRequest? Next, Previous;
    internal List<TaskCompletionSource>? Waiters;

    internal bool Overlaps(long offset, long length) => Offset < offset + length && offset < Offset + Length;
}

// Requests in flight in one node
//   1. A serialising request overlaps no other request in flight; others may overlap each other freely.
//   2. Who must wait has not entered yet, so what has entered never waits here: no cycle, no deadlock.
//   3. Waiting is first come, first served only per conflict; a serialising request cannot be starved by reads, which do not enter.

/// <summary>Makes overlapping requests wait for each other where one of them must be alone: read-modify-write, copy-on-read.</summary>
internal sealed class RequestTracker
{
    private readonly Lock _lock = new();
    private readonly Stack<TrackedRequest> _free = new();
    private TrackedRequest? _first;

    /// <summary>Registers a request, waiting first for those it must not overlap.</summary>
    /// <param name="offset">Bytes.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="serialising">Whether the request must be alone on its range.</param>
    /// <returns>What <see cref="Exit"/> takes.</returns>
    public ValueTask<TrackedRequest> EnterAsync(long offset, long length, bool serialising)
    {
        lock (_lock)
        {
            return TryEnter(offset, length, serialising, out TrackedRequest? entered, out _)
                ? new(entered!)
                : EnterSlowAsync(offset, length, serialising);
        }
    }

    /// <summary>The request is done; whoever waited for it tries again.</summary>
    public void Exit(TrackedRequest request)
    {
        List<TaskCompletionSource>? waiters;
        lock (_lock)
        {
            if (request.Previous is null) _first = request.Next; else request.Previous.Next = request.Next;
            if (request.Next is not null) request.Next.Previous = request.Previous;
            request.Next = request.Previous = null;
            waiters = request.Waiters;
            request.Waiters = null;
            _free.Push(request);
        }

        if (waiters is null) return;
        foreach (TaskCompletionSource waiter in waiters) waiter.SetResult();
    }

    private async ValueTask<TrackedRequest> EnterSlowAsync(long offset, long length, bool serialising)
    {
        while (true)
        {
            Task free;
            lock (_lock)
            {
                if (TryEnter(offset, length, serialising, out TrackedRequest? entered, out TrackedRequest? obstacle)) return entered!;
                var waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                (obstacle!.Waiters ??= []).Add(waiter);
                free = waiter.Task;
            }

            await free.ConfigureAwait(false);
        }
    }

    private bool TryEnter(long offset, long length, bool serialising, out TrackedRequest? entered, out TrackedRequest? obstacle)
    {
        entered = null;
        for (obstacle = _first; obstacle is not null; obstacle = obstacle.Next)
        {
            if ((serialising || obstacle.Serialising) && obstacle.Overlaps(offset, length)) return false;
        }

        entered = _free.TryPop(out TrackedRequest? reused) ? reused : new TrackedRequest();
        (entered.Offset, entered.Length, entered.Serialising) = (offset, length, serialising);
        entered.Next = _first;
        if (_first is not null) _first.Previous = entered;
        _first = entered;
        return true;
    }
}
