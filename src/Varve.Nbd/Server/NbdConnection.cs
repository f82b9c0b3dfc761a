namespace Varve.Nbd.Server;

/// <summary>One client: a thread that takes it through the handshake and then serves its requests until it leaves.</summary>
internal sealed class NbdConnection(NbdServer server, NbdTransport transport)
{
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes when the thread has ended and none of the client's requests is in flight.</summary>
    public Task Ended => _ended.Task;

    public void Start() => new Thread(Run) { IsBackground = true, Name = "nbd client" }.Start();

    /// <summary>Lets the client go: requests in flight end, nothing more is read. Any thread, any time.</summary>
    public void Close() => transport.Shutdown();

    private void Run()
    {
        transport.Dispose();
        _ended.SetResult();
        server.OnEnded(this);
    }
}
