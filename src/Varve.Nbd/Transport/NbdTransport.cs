using System.Net.Sockets;
using System.Runtime.InteropServices;
using Varve.Nbd.Interop.Linux;

namespace Varve.Nbd.Transport;

/// <summary>The byte stream a connection runs on. Receiving and sending may happen on two threads at once, each on one at a time.</summary>
internal abstract class NbdTransport : IDisposable
{
    /// <summary>Waits for bytes; 0 when the other side has ended the stream or <see cref="Shutdown"/> was called.</summary>
    /// <exception cref="IOException">The stream broke, or <see cref="SetTimeout"/>'s time is over.</exception>
    public abstract int Receive(Span<byte> buffer);

    /// <summary>Sends everything, waiting for a slow reader.</summary>
    /// <exception cref="IOException">The stream broke.</exception>
    public abstract void Send(ReadOnlySpan<byte> bytes);

    /// <summary>Sends what can be sent without waiting.</summary>
    /// <returns>How many bytes of the beginning were taken.</returns>
    /// <exception cref="IOException">The stream broke.</exception>
    public abstract int TrySend(ReadOnlySpan<byte> bytes);

    /// <summary>How long one <see cref="Receive"/> or <see cref="Send"/> may wait; zero: for ever.</summary>
    public abstract void SetTimeout(TimeSpan timeout);

    /// <summary>Tells the other side that nothing more will come, where the stream has a way to say so. Nobody else is sending.</summary>
    public virtual void SayGoodbye() { }

    /// <summary>Ends both directions: a waiting <see cref="Receive"/> or <see cref="Send"/> returns. Any thread, any time.</summary>
    public abstract void Shutdown();

    public abstract void Dispose();
}

/// <summary>A connected unix or TCP socket in blocking mode.</summary>
internal sealed class SocketTransport : NbdTransport
{
    private readonly Socket _socket;

    public SocketTransport(Socket socket)
    {
        _socket = socket;
        if (socket.ProtocolType != ProtocolType.Tcp) return;
        socket.NoDelay = true;
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);   // a client whose host died is noticed
    }

    public override int Receive(Span<byte> buffer)
    {
        int received = _socket.Receive(buffer, SocketFlags.None, out SocketError error);
        return error switch
        {
            SocketError.Success => received,
            SocketError.ConnectionReset or SocketError.Shutdown or SocketError.OperationAborted => 0,
            _ => throw new IOException($"receive: {error}", new SocketException((int)error)),
        };
    }

    public override void Send(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int sent = _socket.Send(bytes, SocketFlags.None, out SocketError error);
            if (error != SocketError.Success) throw new IOException($"send: {error}", new SocketException((int)error));
            bytes = bytes[sent..];
        }
    }

    // Elsewhere a blocking socket has no way to send without waiting: nothing is taken, and the connection's own thread for late
    // replies sends.
    public override int TrySend(ReadOnlySpan<byte> bytes)
    {
        if (!OperatingSystem.IsLinux()) return 0;
        nint sent = Libc.Send(_socket.SafeHandle, bytes, SendFlags.DontWait | SendFlags.NoSignal);
        if (sent >= 0) return (int)sent;
        int errno = Marshal.GetLastPInvokeError();
        return errno is Errno.EAGAIN or Errno.EINTR ? 0 : throw new IOException($"send: {Errno.Text(errno)}");
    }

    public override void SetTimeout(TimeSpan timeout)
    {
        int milliseconds = timeout == TimeSpan.Zero ? 0 : Math.Max(1, (int)timeout.TotalMilliseconds);
        _socket.ReceiveTimeout = milliseconds;
        _socket.SendTimeout = milliseconds;
    }

    public override void Shutdown()
    {
        try
        {
            _socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Not connected any more, which is what was wanted.
        }
    }

    public override void Dispose() => _socket.Dispose();
}
