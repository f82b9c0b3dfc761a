using System.Runtime.CompilerServices;
using Varve.IO;
using Varve.Nbd.Wire;

namespace Varve.Nbd.Client;

// A server that goes and comes back
//   1. An outage begins when a connection ends on its own. From then on requests wait, for as long as the reconnect delay has not
//      passed, and are sent again when the server is back, those that were in flight included: their answers were never seen, and
//      every request may be repeated.
//   2. After the delay they fail, until an attempt that a request starts in passing has succeeded. Without a delay that is at once.
//   3. Nobody waits in a drained section: it lets requests go, which means that they fail.
//   4. A server that comes back with another export than the one that was opened has not come back.
//
// Several connections
//   1. There are more than one only to a server that says CAN_MULTI_CONN: it promises that a flush, and FUA, cover what was
//      acknowledged on any of them. Opening waits for the first; the others are opened behind it and used as they come.
//   2. Another one joins if it shows the same export and no outage lies between it and the first: connections to the server before
//      and after one do not mix. Where one shows another export, or none can be had for long, no more are tried before the next outage.
//   3. A request goes to the connection with the fewest in flight.
//   4. A connection that ends leaves. A flush on the others covers what it acknowledged (1), and what it was asked to read they are
//      asked again. But a change without an answer may still be under way in the server, and land on top of a later one to the same
//      place: that is an outage for all of them, and treated as with one connection. So is the end of the last.

/// <summary>An export of a server: sends requests, and connects again when the server was gone.</summary>
internal sealed partial class NbdClient : IAsyncDisposable
{
    private static readonly TimeSpan s_firstPause = TimeSpan.FromMilliseconds(100), s_longestPause = TimeSpan.FromSeconds(16);

    /// <summary>How long a handshake under way may take to its end when the client leaves: a server tells its operator of one that is broken off.</summary>
    private static readonly TimeSpan s_farewell = TimeSpan.FromSeconds(2);

    private readonly NbdClientOptions _options;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _places = new(NbdClientConnection.MaxInFlight);
    private readonly Stack<ClientRequest> _free = new();
    private readonly CancellationTokenSource _closing = new(), _abandoning = new();
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
                NbdClientConnection first = await NbdClientConnection.OpenAsync(options, client.OnEnded, cancellationToken).ConfigureAwait(false);
                client.Export = first.Export;
                client.Begin(first);
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
    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    public async ValueTask SendAsync(ClientRequest request)
    {
        await _places.WaitAsync(CancellationToken.None).ConfigureAwait(false);
        try
        {
            while (true)
            {
                NbdClientConnection connection = LeastLoaded() ?? await WaitForServerAsync().ConfigureAwait(false);
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
        _abandoning.CancelAfter(s_farewell);
        await _attempts.ConfigureAwait(false);
        await _growth.ConfigureAwait(false);
        NbdClientConnection[] connections;
        lock (_lock) (connections, _connections) = (_connections, []);
        foreach (NbdClientConnection connection in connections)
        {
            await BlockingThreads.Shared.RunAsync(connection.Close).ConfigureAwait(false);
        }

        _places.Dispose();
        _closing.Dispose();
        _abandoning.Dispose();
    }
}
