namespace Varve.IO;

/// <summary>A lock that may be held across awaits: first come, first served, not re-entrant. Uncontended it allocates nothing.</summary>
internal sealed class AsyncLock
{
    private readonly Lock _lock = new();
    private readonly Queue<TaskCompletionSource> _waiters = new();
    private bool _isHeld;

    /// <summary>Waits for the lock; disposing the result releases it, once.</summary>
    public ValueTask<Holder> EnterAsync()
    {
        TaskCompletionSource turn;
        lock (_lock)
        {
            if (!_isHeld)
            {
                _isHeld = true;
                return new(new Holder(this));
            }

            turn = new(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiters.Enqueue(turn);
        }

        return WaitAsync(turn);
    }

    private async ValueTask<Holder> WaitAsync(TaskCompletionSource turn)
    {
        await turn.Task.ConfigureAwait(false);
        return new Holder(this);
    }

    private void Exit()
    {
        TaskCompletionSource? next;
        lock (_lock)
        {
            if (!_waiters.TryDequeue(out next)) _isHeld = false;   // otherwise the lock passes on without being free
        }

        next?.SetResult();
    }

    /// <summary>The lock is held until this is disposed.</summary>
    public readonly struct Holder(AsyncLock owner) : IDisposable
    {
        public void Dispose() => owner.Exit();
    }
}
