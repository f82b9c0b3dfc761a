using Varve.Nbd.Transport;

namespace Varve.Nbd.Server;

/// <summary>One client: a thread that takes it through the handshake and then serves its requests until it leaves.</summary>
internal sealed class NbdConnection(NbdServer server, NbdTransport transport)
{
    private const int StackSize = 512 << 10;

    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes when the thread has ended and none of the client's requests is in flight.</summary>
    public Task Ended => _ended.Task;

    public void Start() => new Thread(Run, StackSize) { IsBackground = true, Name = "nbd client" }.Start();

    /// <summary>Lets the client go: requests in flight end, nothing more is read. Any thread, any time.</summary>
    public void Close() => transport.Shutdown();

    private void Run()
    {
        NbdExport? export = null;
        NbdTransport current = transport;
        bool isServed = false;
        try
        {
            using var handshake = new NbdHandshake(server, this, transport, attached: e => export = e);
            NbdSession? session = handshake.Run();
            current = handshake.Transport;
            if (handshake.Failure is { } failure) server.NegotiationFailed?.Invoke(failure);
            if (session is null) return;
            isServed = true;
            current.SetTimeout(TimeSpan.Zero);
            using var transmission = new NbdTransmission(session, current, handshake.Input, server.ConnectionFailed);
            transmission.Run();
        }
        catch (IOException)
        {
            // The client is gone, or was too slow in the handshake. Nobody is left to be told.
        }
        catch (Exception e)
        {
            server.ConnectionFailed?.Invoke(e);
        }
        finally
        {
            export?.Detach(this);
            current.Dispose();
            server.OnEnded(this, isServed);
            _ended.SetResult();
        }
    }
}
