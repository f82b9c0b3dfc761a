using System.Runtime.CompilerServices;
using Varve.Nbd.Wire;

namespace Varve.Nbd.Client;

// A server that goes and comes back
//   1. An outage begins when a connection ends on its own. From then on requests wait, for as long as the reconnect delay has not
//      passed, and are sent again when the server is back, those that were in flight included: their answers were never seen, and
//      every request may be repeated.
//   2. After the delay they fail, until an attempt that a request starts in passing has succeeded. Without a delay that is at once.
//   3. Nobody waits in a drained section: it lets requests go, which means that they fail.
//   4. A server that comes back with another export than the one that was opened has not come back.

/// <summary>An export of a server: sends requests, and connects again when the server was gone.</summary>
internal sealed class NbdClient : IAsyncDisposable
{
    private static readonly TimeSpan s_firstPause = TimeSpan.FromMilliseconds(100), s_longestPause = TimeSpan.FromSeconds(16);

    private readonly NbdClientOptions _options;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _places = new(NbdClientConnection.MaxInFlight);
    private readonly Stack<ClientRequest> _free = new();
    private readonly CancellationTokenSource _closing = new();
    private NbdClientConnection? _connection;
    private long _outageBegan;
    private Task _attempts = Task.CompletedTask;
    private TaskCompletionSource _changed = NewChange();
    private int _drains;

    private NbdClient(NbdClientOptions options, TimeProvider time) => (_options, _time) = (options, time);

    /// <summary>What the server said about the export when it was opened.</summary>
    public ExportDetails Export { get; private set; } = null!;

    /// <summary>Connects; with an open timeout, again and again until it has passed.</summary>
    /// <exception cref="BlockException">Why the last attempt failed.</exception>
    public static async Task<NbdClient> OpenAsync(NbdClientOptions options, TimeProvider time, CancellationToken cancellationToken)
    {
        var client = new NbdClient(options, time);
        long started = time.GetTimestamp();
        TimeSpan pause = s_firstPause;
        while (true)
        {
            try
            {
                client._connection = await NbdClientConnection.OpenAsync(options, client.OnEnded, cancellationToken).ConfigureAwait(false);
                client.Export = client._connection.Export;
                return client;
            }
            catch (BlockException) when (time.GetElapsedTime(started) < options.OpenTimeout)
            {
                TimeSpan left = options.OpenTimeout - time.GetElapsedTime(started);
                await Task.Delay(pause < left ? pause : left, time, cancellationToken).ConfigureAwait(false);
                pause = Longer(pause, TimeSpan.FromSeconds(1));
            }
        }
    }

    /// <summary>A request to fill in; <see cref="Return"/> takes it back.</summary>
    public ClientRequest Rent()
    {
        lock (_lock) return _free.TryPop(out ClientRequest? request) ? request : new ClientRequest();
    }

    public void Return(ClientRequest request)
    {
        request.Clear();
        lock (_lock) _free.Push(request);
    }

    /// <summary>Sends a request and waits for its answer.</summary>
    /// <returns>Done when the server has answered, be it with an error: see <see cref="ClientRequest.Error"/>.</returns>
    /// <exception cref="BlockException">There is no server, and none came back in time.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask SendAsync(ClientRequest request)
    {
        await _places.WaitAsync(CancellationToken.None).ConfigureAwait(false);
        try
        {
            while (true)
            {
                NbdClientConnection connection = Volatile.Read(ref _connection) ?? await WaitForServerAsync().ConfigureAwait(false);
                if (await connection.SendAsync(request).ConfigureAwait(false)) return;
                OnEnded(connection);   // before the connection has said so itself, so that the next round does not meet it again
            }
        }
        finally
        {
            _places.Release();
        }
    }

    /// <summary>A drained section begins: whoever waits for the server is let go.</summary>
    public void BeginDrain()
    {
        lock (_lock)
        {
            _drains++;
            Change();
        }
    }

    public void EndDrain()
    {
        lock (_lock) _drains--;
    }

    /// <summary>Leaves. No request is in flight.</summary>
    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync().ConfigureAwait(false);
        await _attempts.ConfigureAwait(false);
        NbdClientConnection? connection;
        lock (_lock)
        {
            connection = _connection;
            _connection = null;
        }

        if (connection is not null) await IO.BlockingThreads.Shared.RunAsync(connection.Close).ConfigureAwait(false);
        _places.Dispose();
        _closing.Dispose();
    }

    // ---- Outages

    private void OnEnded(NbdClientConnection connection)
    {
        lock (_lock)
        {
            if (!ReferenceEquals(_connection, connection)) return;
            _connection = null;
            _outageBegan = _time.GetTimestamp();
        }
    }

    private async ValueTask<NbdClientConnection> WaitForServerAsync()
    {
        while (true)
        {
            Task changed;
            TimeSpan left;
            lock (_lock)
            {
                if (_connection is { } connection) return connection;
                if (_attempts.IsCompleted && !_closing.IsCancellationRequested) _attempts = Task.Run(AttemptAsync);
                left = _options.ReconnectDelay - _time.GetElapsedTime(_outageBegan);
                if (left <= TimeSpan.Zero || _drains > 0) throw new BlockException(BlockErrorKind.Io, Errno.Text(Errno.EIO));
                changed = _changed.Task;
            }

            await Task.WhenAny(changed, Task.Delay(left, _time)).ConfigureAwait(false);
        }
    }

    /// <summary>Tries to connect, once at least, until it worked or the delay has passed.</summary>
    private async Task AttemptAsync()
    {
        TimeSpan pause = s_firstPause;
        while (!_closing.IsCancellationRequested)
        {
            try
            {
                NbdClientConnection connection = await NbdClientConnection.OpenAsync(_options, OnEnded, _closing.Token).ConfigureAwait(false);
                if (TryResume(connection)) return;
                connection.Close();
            }
            catch (Exception e) when (e is BlockException or OperationCanceledException)
            {
                // Not yet.
            }

            if (_time.GetElapsedTime(_outageBegan) >= _options.ReconnectDelay) return;
            await Task.Delay(pause, _time, _closing.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            pause = Longer(pause, s_longestPause);
        }
    }

    private bool TryResume(NbdClientConnection connection)
    {
        if (!IsSame(connection.Export)) return false;
        lock (_lock)
        {
            if (_closing.IsCancellationRequested) return false;
            _connection = connection;
            Change();
            return true;
        }
    }

    private bool IsSame(ExportDetails now)
        => now.Size == Export.Size && now.Form >= Export.Form && (now.Flags & Export.Flags & ~TransmissionFlags.ReadOnly) == (Export.Flags & ~TransmissionFlags.ReadOnly)
           && (now.Flags & TransmissionFlags.ReadOnly) <= (Export.Flags & TransmissionFlags.ReadOnly)
           && (now.StatusContextId is not null || Export.StatusContextId is null)
           && (now.BlockSizes?.Minimum ?? 1) <= (Export.BlockSizes?.Minimum ?? 1);

    private void Change()
    {
        _changed.TrySetResult();
        _changed = NewChange();
    }

    private static TaskCompletionSource NewChange() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static TimeSpan Longer(TimeSpan pause, TimeSpan limit) => pause * 2 < limit ? pause * 2 : limit;
}
