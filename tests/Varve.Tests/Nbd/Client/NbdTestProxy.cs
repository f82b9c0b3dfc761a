using System.Diagnostics;
using System.Net.Sockets;
using Varve.Tests.Support;

namespace Varve.Tests.Nbd.Client;

/// <summary>Stands between a client and a server on unix sockets; sees the connections, and ends them when told to.</summary>
internal sealed class NbdTestProxy : IAsyncDisposable
{
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly List<Connection> _connections = [];
    private readonly string _server, _others;
    private readonly Task _accepting;

    /// <param name="path">Where it listens.</param>
    /// <param name="server">Where connections go.</param>
    /// <param name="others">Where all but the first go, if not there.</param>
    public NbdTestProxy(string path, string server, string? others = null)
    {
        (Path, _server, _others) = (path, server, others ?? server);
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        _listener.Listen();
        _accepting = AcceptAsync();
    }

    public string Path { get; }

    /// <summary>All that there were, in their order.</summary>
    public IReadOnlyList<Connection> Connections
    {
        get
        {
            lock (_connections) return [.. _connections];
        }
    }

    public int OpenCount => Connections.Count(c => c.IsOpen);

    public Task UntilOpenAsync(int count) => Patience.UntilAsync(() => OpenCount == count, $"{count} connections");

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                Socket client = await _listener.AcceptAsync();
                Socket server = await ConnectAsync(Connections.Count == 0 ? _server : _others);
                lock (_connections) _connections.Add(new Connection(client, server));
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }

    /// <summary>A server's socket is there a moment before it listens.</summary>
    private static async Task<Socket> ConnectAsync(string path)
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            var server = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await server.ConnectAsync(new UnixDomainSocketEndPoint(path));
                return server;
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused && watch.Elapsed < Patience.Limit)
            {
                server.Dispose();
                await Task.Delay(10);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        _listener.Dispose();
        await _accepting;
        await Task.WhenAll(Connections.Select(c => c.DropAsync()));
    }

    internal sealed class Connection
    {
        private readonly Socket _client, _server;
        private readonly Task _replies;
        private volatile bool _isDropped;
        private long _traffic;

        public Connection(Socket client, Socket server)
        {
            (_client, _server) = (client, server);
            _ = CopyAsync(client, server, () => false);
            _replies = CopyAsync(server, client, () => _isDropped);
        }

        public bool IsOpen => !_replies.IsCompleted;

        /// <summary>Bytes that the client has sent and the server has answered, added up.</summary>
        public long Traffic => Interlocked.Read(ref _traffic);

        /// <summary>Ends it at whatever byte it is. The client sees that when the server has: what the server had received is then done,
        /// though its answers are lost, and cannot land on top of what the client writes next.</summary>
        public async Task DropAsync()
        {
            _isDropped = true;
            Shut(_server);
            await _replies.WaitAsync(Patience.Limit);
        }

        private async Task CopyAsync(Socket from, Socket to, Func<bool> isLost)
        {
            var buffer = new byte[64 << 10];
            try
            {
                while (await from.ReceiveAsync(buffer) is > 0 and var length)
                {
                    Interlocked.Add(ref _traffic, length);
                    for (int sent = 0; sent < length && !isLost();) sent += await to.SendAsync(buffer.AsMemory(sent, length - sent));
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // The other side of it ended.
            }

            Shut(to);
            if (from == _server) _client.Dispose();
        }

        private static void Shut(Socket socket)
        {
            try
            {
                socket.Shutdown(SocketShutdown.Send);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // Gone.
            }
        }
    }
}
