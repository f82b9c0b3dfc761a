using Varve.Nbd.Transport;

namespace Varve.Fuzz.Targets;

/// <summary>The other side of an NBD connection: it says what it was told to say, whatever it hears.</summary>
/// <param name="input">What it says.</param>
/// <param name="pieces">The most bytes of one receive.</param>
internal sealed class MemoryTransport(byte[] input, int pieces) : NbdTransport
{
    private readonly ManualResetEventSlim _mayReply = new();
    private readonly Thread _owner = Thread.CurrentThread;
    private int _position;
    private volatile bool _isShut;

    /// <summary>From now on other threads than the one that made this receive too: the replies to its requests.</summary>
    public void Release() => _mayReply.Set();

    public override int Receive(Span<byte> buffer)
    {
        if (Thread.CurrentThread != _owner) _mayReply.Wait();
        if (_isShut) return 0;
        int count = Math.Min(Math.Min(buffer.Length, pieces), input.Length - _position);
        input.AsSpan(_position, count).CopyTo(buffer);
        _position += count;
        return count;
    }

    public override void Send(ReadOnlySpan<byte> bytes)
    {
        if (_isShut) throw new IOException("shut");
    }

    public override int TrySend(ReadOnlySpan<byte> bytes)
    {
        Send(bytes);
        return bytes.Length;
    }

    public override void SetTimeout(TimeSpan timeout) { }

    public override void Shutdown()
    {
        _isShut = true;
        _mayReply.Set();
    }

    public override void Dispose() => Shutdown();
}
