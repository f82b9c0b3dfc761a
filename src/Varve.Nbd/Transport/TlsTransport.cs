using Varve.Interop.Linux;

namespace Varve.Nbd.Transport;

/// <summary>An encrypted connection over another one.</summary>
internal sealed class TlsTransport : NbdTransport
{
    private readonly NbdTransport _inner;
    private readonly GnuTlsSession _session;

    private TlsTransport(NbdTransport inner, GnuTlsSession session) => (_inner, _session) = (inner, session);

    /// <summary>Encrypts a connection; the result owns it.</summary>
    /// <param name="inner">In the clear.</param>
    /// <param name="begin">Does the handshake and looks at the other side.</param>
    public static TlsTransport Over(NbdTransport inner, Func<ITlsChannel, GnuTlsSession> begin) => new(inner, begin(new Channel(inner)));

    public override int Receive(Span<byte> buffer) => _session.Receive(buffer);

    public override void Send(ReadOnlySpan<byte> bytes) => _session.Send(bytes);

    /// <summary>A record is sent whole or not at all, and that may wait: nothing is taken.</summary>
    public override int TrySend(ReadOnlySpan<byte> bytes) => 0;

    public override void SetTimeout(TimeSpan timeout) => _inner.SetTimeout(timeout);

    public override void SayGoodbye() => _session.SayGoodbye();

    public override void Shutdown() => _inner.Shutdown();

    public override void Dispose()
    {
        _session.Dispose();
        _inner.Dispose();
    }

    private sealed class Channel(NbdTransport transport) : ITlsChannel
    {
        public int Receive(Span<byte> buffer) => transport.Receive(buffer);

        public void Send(ReadOnlySpan<byte> bytes) => transport.Send(bytes);
    }
}
