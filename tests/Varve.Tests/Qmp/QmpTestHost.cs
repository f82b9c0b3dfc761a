using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Nbd.Transport;
using Varve.Qmp;
using Varve.Qmp.Json;
using Varve.Qmp.Server;
using Varve.Qmp.Server.Chardevs;
using Varve.Tests.Support;

namespace Varve.Tests.Qmp;

/// <summary>A QMP server in this process, on a unix socket of its own.</summary>
internal sealed class QmpTestHost : IAsyncDisposable
{
    private readonly TempDirectory _directory = new();

    private QmpTestHost(BlockDrivers? drivers) => Context = new QmpContext(new BlockGraph(drivers));

    public QmpContext Context { get; }

    public string SocketPath => _directory["qmp.sock"];

    public TempDirectory Directory => _directory;

    public static async Task<QmpTestHost> StartAsync(BlockDrivers? drivers = null, bool pretty = false)
    {
        var host = new QmpTestHost(drivers);
        await host.Context.Chardevs.AddAsync(new SocketChardev("c", new SocketChardevOptions(new UnixTarget(host.SocketPath))));
        await host.Context.Monitors.AddAsync("c", pretty);
        return host;
    }

    /// <summary>A client that has negotiated.</summary>
    public Task<QmpClient> ConnectAsync() => QmpClient.ConnectUnixAsync(SocketPath, TestContext.Current.CancellationToken);

    /// <summary>A client that speaks for itself: bytes out, messages in.</summary>
    public async Task<RawQmpClient> ConnectRawAsync(bool negotiate = false)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(SocketPath), TestContext.Current.CancellationToken);
        var client = new RawQmpClient(socket);
        if (negotiate)
        {
            await client.ReceiveAsync();
            await client.AskAsync("""{"execute": "qmp_capabilities"}""");
        }

        return client;
    }

    public async ValueTask DisposeAsync()
    {
        await Context.ShutDownAsync();
        await Context.DisposeAsync();
        _directory.Dispose();
    }
}

/// <summary>A client without manners.</summary>
internal sealed class RawQmpClient(Socket socket) : IDisposable
{
    private readonly JsonMessageReader _messages = new();
    private readonly Queue<JsonNode?> _received = new();

    public Socket Socket { get; } = socket;

    public async Task SendAsync(string text)
        => await Socket.SendAsync(Encoding.Latin1.GetBytes(text), TestContext.Current.CancellationToken);

    /// <summary>The next message; null at the end of the connection.</summary>
    public async Task<JsonNode?> ReceiveAsync()
    {
        byte[] buffer = new byte[65536];
        JsonNode? message;
        while (!_received.TryDequeue(out message))
        {
            int count = await Socket.ReceiveAsync(buffer, TestContext.Current.CancellationToken).AsTask().WaitAsync(TimeSpan.FromSeconds(20));
            if (count == 0) return null;
            foreach (JsonMessage each in _messages.Feed(buffer.AsMemory(0, count))) _received.Enqueue(each.Value);
        }

        return message;
    }

    /// <summary>Sends, and returns the next message as text.</summary>
    public async Task<string> AskAsync(string text)
    {
        await SendAsync(text);
        return QmpJson.ToText(await ReceiveAsync());
    }

    public void Dispose() => Socket.Dispose();
}
