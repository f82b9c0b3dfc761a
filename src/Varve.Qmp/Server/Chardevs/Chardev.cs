namespace Varve.Qmp.Server.Chardevs;

/// <summary>A character device: a way for bytes in and out of the process, with at most one user (a monitor).</summary>
internal abstract class Chardev(string id) : IAsyncDisposable
{
    private readonly CancellationTokenSource _ended = new();
    private Task? _serving;

    public string Id { get; } = id;

    /// <summary>How <c>query-chardev</c> describes it: <c>stdio</c>, <c>disconnected:unix:/run/qmp.sock,server=on</c>.</summary>
    public abstract string Filename { get; }

    /// <summary>Whether something uses it.</summary>
    public bool IsFrontendOpen => _serving is { IsCompleted: false };

    /// <summary>Makes it ready: binds a listening socket, opens a pipe. Failures are the caller's to report.</summary>
    public virtual ValueTask OpenAsync(CancellationToken cancellationToken) => default;

    /// <summary>Gives it its user: every connection is handed to <paramref name="serve"/>.</summary>
    /// <exception cref="BlockException">It has one.</exception>
    public ValueTask AttachAsync(Func<IByteChannel, CancellationToken, Task> serve)
    {
        if (_serving is not null) throw new BlockException(BlockErrorKind.InUse, $"Device '{Id}' is in use");
        _serving = ServeAsync(serve, _ended.Token);
        return WaitForFirstClientAsync(_ended.Token);
    }

    /// <summary>Ends all connections of its user, and waits for them.</summary>
    public async ValueTask DetachAsync()
    {
        await _ended.CancelAsync().ConfigureAwait(false);
        if (_serving is { } serving)
        {
            try
            {
                await serving.ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                // This is how it ends.
            }
        }
    }

    /// <summary>Waits for connections and serves each, until cancelled.</summary>
    protected abstract Task ServeAsync(Func<IByteChannel, CancellationToken, Task> serve, CancellationToken cancellationToken);

    /// <summary>With <c>wait=on</c>: until somebody has connected.</summary>
    protected virtual ValueTask WaitForFirstClientAsync(CancellationToken cancellationToken) => default;

    public virtual async ValueTask DisposeAsync()
    {
        await DetachAsync().ConfigureAwait(false);
        _ended.Dispose();
    }
}
