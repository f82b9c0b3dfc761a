using System.Threading.Tasks.Sources;

namespace Varve.IO;

/// <summary>A lock that may be held across awaits: first come, first served, not re-entrant. It allocates nothing once as many have waited before.</summary>
internal sealed class AsyncLock
{
    private readonly Lock _lock = new();
    private readonly Queue<Turn> _waiters = new();
    private readonly Stack<Turn> _free = new();
    private bool _isHeld;

    /// <summary>Waits for the lock; disposing the result releases it, once.</summary>
    public ValueTask<Holder> EnterAsync()
    {
        lock (_lock)
        {
            if (!_isHeld)
            {
                _isHeld = true;
                return new(new Holder(this));
            }

            if (!_free.TryPop(out Turn? turn)) turn = new Turn(this);
            _waiters.Enqueue(turn);
            return new(turn, turn.Version);
        }
    }

    private void Exit()
    {
        Turn? next;
        lock (_lock)
        {
            if (!_waiters.TryDequeue(out next)) _isHeld = false;   // otherwise the lock passes on without being free
        }

        next?.Come();
    }

    /// <summary>The lock is held until this is disposed.</summary>
    public readonly struct Holder(AsyncLock owner) : IDisposable
    {
        public void Dispose() => owner.Exit();
    }

    /// <summary>Somebody's place among those who wait.</summary>
    private sealed class Turn(AsyncLock owner) : IValueTaskSource<Holder>
    {
        // Not run by whoever lets the lock go, who has other things to do.
        private ManualResetValueTaskSourceCore<bool> _core = new() { RunContinuationsAsynchronously = true };

        public short Version => _core.Version;

        public void Come() => _core.SetResult(true);

        public Holder GetResult(short token)
        {
            _core.GetResult(token);
            _core.Reset();
            lock (owner._lock) owner._free.Push(this);
            return new Holder(owner);
        }

        public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

        public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
            => _core.OnCompleted(continuation, state, token, flags);
    }
}
