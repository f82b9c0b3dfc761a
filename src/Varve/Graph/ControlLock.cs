namespace Varve.Graph;

/// <summary>The asynchronous lock of the control plane. Not re-entrant; first come, first served.</summary>
internal sealed class ControlLock : IDisposable
{
    private readonly SemaphoreSlim _semaphore = new(1, 1);

    /// <summary>Whether somebody holds it: for assertions.</summary>
    public bool IsHeld => _semaphore.CurrentCount == 0;

    /// <summary>Waits for the lock; disposing the result releases it.</summary>
    public async ValueTask<IDisposable> EnterAsync(CancellationToken cancellationToken = default)
    {
        await _semaphore.WaitAsync(cancellationToken).ConfigureAwait(false);
        return new Holder(_semaphore);
    }

    public void Dispose() => _semaphore.Dispose();

    private sealed class Holder(SemaphoreSlim semaphore) : IDisposable
    {
        private SemaphoreSlim? _semaphore = semaphore;

        public void Dispose() => Interlocked.Exchange(ref _semaphore, null)?.Release();
    }
}
