using System.Net;
using System.Net.Sockets;
using Varve.Nbd.Transport;

namespace Varve.Nbd.Server;

// Clients of a server
//   1. A connection is in _connections from acceptance until its thread has ended.
//   2. At the limit nobody is accepted: clients wait in the listening socket's queue, as the reference has them wait.
//   3. Stopping closes the listening socket first, then every connection, then waits for their threads.

/// <summary>Accepts NBD clients on one listening socket and hands them the exports they ask for by name.</summary>
internal sealed class NbdServer : IAsyncDisposable
{
    private readonly Socket _listener;
    private readonly string? _socketPath;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, NbdExport> _exports = new(StringComparer.Ordinal);
    private readonly HashSet<NbdConnection> _connections = [];
    private readonly CancellationTokenSource _stopping = new();
    private readonly SemaphoreSlim? _places;
    private readonly Task _accepting;

    private NbdServer(Socket listener, string? socketPath, NbdServerOptions options)
    {
        _listener = listener;
        _socketPath = socketPath;
        Options = options;
        if (options.MaxConnections > 0) _places = new SemaphoreSlim(options.MaxConnections);
        _accepting = AcceptAsync();
    }

    public NbdServerOptions Options { get; }

    /// <summary>Where it listens; for TCP with the port the system chose when 0 was asked for.</summary>
    public EndPoint? LocalEndPoint => _listener.LocalEndPoint;

    /// <summary>Whether clients may spread their requests over several connections.</summary>
    public bool AllowsMultiConn => Options.MaxConnections != 1;

    /// <summary>Clients connected now, those in the handshake included.</summary>
    public int ConnectionCount
    {
        get { lock (_lock) return _connections.Count; }
    }

    /// <summary>Called when a client that was in transmission has left, with how many clients remain. From any thread.</summary>
    public Action<int>? ClientLeft { get; set; }

    /// <summary>Called with why a client did not come to transmission, where it broke a rule or left without a word. From any thread.</summary>
    public Action<string>? NegotiationFailed { get; set; }

    /// <summary>Called with what ended a connection although it should not have: a defect, to be reported. From any thread.</summary>
    public Action<Exception>? ConnectionFailed { get; set; }

    /// <summary>Listens on a unix socket; a socket left behind at the path is replaced.</summary>
    /// <exception cref="BlockException">The path is too long, or cannot be bound; the message names it.</exception>
    public static NbdServer ListenUnix(string path, NbdServerOptions? options = null)
        => new(NbdListener.BindUnix(path), path, options ?? new());

    /// <summary>Listens on a TCP address.</summary>
    /// <param name="host">A name or an address; empty: every address.</param>
    /// <param name="port">0: the system chooses, see <see cref="LocalEndPoint"/>.</param>
    /// <param name="options">How clients are treated.</param>
    public static NbdServer ListenTcp(string host, int port, NbdServerOptions? options = null)
        => new(NbdListener.BindTcp(host, port), null, options ?? new());

    /// <summary>Takes over a socket that is listening already: inherited, or passed over QMP.</summary>
    public static NbdServer Listen(SafeSocketHandle socket, NbdServerOptions? options = null)
        => Listen(new Socket(socket), options);

    /// <summary>Takes over a listening socket.</summary>
    public static NbdServer Listen(Socket listener, NbdServerOptions? options = null) => new(listener, null, options ?? new());

    /// <summary>The exports clients may ask for, in the order of their names.</summary>
    public IReadOnlyList<NbdExport> ListExports()
    {
        lock (_lock) return [.. _exports.Values.OrderBy(e => e.Name, StringComparer.Ordinal)];
    }

    public NbdExport? FindExport(string name)
    {
        lock (_lock) return _exports.GetValueOrDefault(name);
    }

    /// <summary>Makes an export known by its name; false when the name is taken. <see cref="ExportRegistry"/> does it.</summary>
    internal bool TryAddExport(NbdExport export)
    {
        lock (_lock) return _exports.TryAdd(export.Name, export);
    }

    internal void RemoveExport(NbdExport export)
    {
        lock (_lock) _exports.Remove(export.Name);
    }

    /// <summary>Stops listening and lets every client go: done when none of their requests is in flight.</summary>
    public async Task StopAsync()
    {
        NbdConnection[] connections;
        lock (_lock)
        {
            _stopping.Cancel();
            connections = [.. _connections];
        }

        _listener.Dispose();
        await _accepting.ConfigureAwait(false);
        foreach (NbdConnection connection in connections) connection.Close();
        foreach (NbdConnection connection in connections) await connection.Ended.ConfigureAwait(false);
        if (_socketPath is not null) File.Delete(_socketPath);
    }

    /// <summary>Stops, and gives back what waiting used. Nobody else uses the server any more.</summary>
    public async ValueTask DisposeAsync()
    {
        await StopAsync().ConfigureAwait(false);
        _stopping.Dispose();
        _places?.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                if (_places is not null) await _places.WaitAsync(_stopping.Token).ConfigureAwait(false);
                Begin(await _listener.AcceptAsync(_stopping.Token).ConfigureAwait(false));
            }
            catch (Exception e) when (_stopping.IsCancellationRequested && e is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException)
            {
                // The client was gone again, or the process is out of descriptors for now: either way others may still connect.
                _places?.Release();
                await Task.Delay(TimeSpan.FromMilliseconds(20)).ConfigureAwait(false);
            }
        }
    }

    private void Begin(Socket socket)
    {
        var connection = new NbdConnection(this, new SocketTransport(socket));
        lock (_lock)
        {
            if (!_stopping.IsCancellationRequested)
            {
                _connections.Add(connection);
                connection.Start();
                return;
            }
        }

        socket.Dispose();
    }

    /// <summary>The last act of a connection's thread.</summary>
    internal void OnEnded(NbdConnection connection, bool wasServed)
    {
        int left;
        lock (_lock)
        {
            _connections.Remove(connection);
            left = _connections.Count;
        }

        if (!_stopping.IsCancellationRequested) _places?.Release();
        if (wasServed) ClientLeft?.Invoke(left);
    }
}
