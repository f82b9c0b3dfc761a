using System.Net;
using System.Net.Sockets;
using Varve.Nbd.Transport;

namespace Varve.Qmp.Server.Chardevs;

/// <summary>What a socket character device does: where it listens or connects to, and how.</summary>
internal sealed record SocketChardevOptions(SocketTarget Target)
{
    /// <summary>Listen; otherwise connect.</summary>
    public bool IsServer { get; init; } = true;

    /// <summary>Make the host wait for the first client.</summary>
    public bool Wait { get; init; }

    /// <summary>Seconds between attempts to connect again; 0: never.</summary>
    public int ReconnectSeconds { get; init; }
}

/// <summary>A unix or TCP socket. A listening one serves any number of clients at once.</summary>
/// <remarks>Differs from QEMU: there a second client waits until the first has left.</remarks>
internal sealed class SocketChardev(string id, SocketChardevOptions options) : Chardev(id)
{
    private readonly Lock _lock = new();
    private readonly HashSet<Task> _clients = [];
    private readonly TaskCompletionSource _firstClient = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Socket? _socket;
    private bool _isConnected;

    public override string Filename
    {
        get
        {
            string name = options.IsServer && LocalEndPoint is IPEndPoint bound ? $"tcp:{bound}" : options.Target.ToString();
            return $"{(_isConnected ? "" : "disconnected:")}{name}{(options.IsServer ? ",server=on" : "")}";
        }
    }

    /// <summary>Where a listening socket really listens: the port that was chosen for port 0.</summary>
    public EndPoint? LocalEndPoint => _socket?.LocalEndPoint;

    public override async ValueTask OpenAsync(CancellationToken cancellationToken)
    {
        if (options.IsServer) _socket = await options.Target.ListenAsync(cancellationToken).ConfigureAwait(false);
        else if (options.ReconnectSeconds == 0) _socket = await options.Target.ConnectAsync(cancellationToken).ConfigureAwait(false);
    }

    protected override Task ServeAsync(Func<IByteChannel, CancellationToken, Task> serve, CancellationToken cancellationToken)
        => options.IsServer ? AcceptAsync(serve, cancellationToken) : ConnectAsync(serve, cancellationToken);

    protected override async ValueTask WaitForFirstClientAsync(CancellationToken cancellationToken)
    {
        if (options.IsServer && options.Wait) await _firstClient.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    private async Task AcceptAsync(Func<IByteChannel, CancellationToken, Task> serve, CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                Socket client;
                try
                {
                    client = await _socket!.AcceptAsync(cancellationToken).ConfigureAwait(false);
                }
                catch (SocketException)
                {
                    // The client was gone again, or the process is out of descriptors for now: others may still connect.
                    await Task.Delay(TimeSpan.FromMilliseconds(20), cancellationToken).ConfigureAwait(false);
                    continue;
                }

                lock (_lock)
                {
                    _isConnected = true;
                    _clients.Add(ServeClientAsync(client, serve, cancellationToken));
                }

                _firstClient.TrySetResult();
            }
        }
        finally
        {
            Task[] clients;
            lock (_lock) clients = [.. _clients];
            await Task.WhenAll(clients).ConfigureAwait(false);
        }
    }

    private async Task ServeClientAsync(Socket client, Func<IByteChannel, CancellationToken, Task> serve, CancellationToken cancellationToken)
    {
        await Task.Yield();   // in the list of clients before it can leave it
        if (client.AddressFamily != AddressFamily.Unix) client.NoDelay = true;
        try
        {
            await serve(new SocketChannel(client), cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            lock (_lock)
            {
                _clients.RemoveWhere(t => t.IsCompleted);
                _isConnected = _clients.Count > 1;
            }
        }
    }

    private async Task ConnectAsync(Func<IByteChannel, CancellationToken, Task> serve, CancellationToken cancellationToken)
    {
        await Task.Yield();
        while (true)
        {
            try
            {
                Socket server = _socket ?? await options.Target.ConnectAsync(cancellationToken).ConfigureAwait(false);
                _socket = null;
                _isConnected = true;
                await serve(new SocketChannel(server), cancellationToken).ConfigureAwait(false);
            }
            catch (BlockException) when (options.ReconnectSeconds > 0)
            {
                // Nobody there yet: that is what reconnecting is for.
            }
            finally
            {
                _isConnected = false;
            }

            if (options.ReconnectSeconds == 0) return;
            await Task.Delay(TimeSpan.FromSeconds(options.ReconnectSeconds), cancellationToken).ConfigureAwait(false);
        }
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync().ConfigureAwait(false);
        _socket?.Dispose();
        if (options.IsServer) options.Target.RemoveListener();
    }
}
