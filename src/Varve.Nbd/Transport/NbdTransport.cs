using System.Diagnostics;
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

    /// <summary>As <see cref="Receive"/>, for bytes that are likely to come at once: may keep the processor meanwhile.</summary>
    public virtual int ReceiveSoon(Span<byte> buffer) => Receive(buffer);

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
    /// <summary>A thread that waits is woken some 20 us after its bytes have come, more on a virtual machine. Where they came sooner than this the last time,
    /// they are asked for again and again as long (as QEMU's iothreads do, whose <c>poll-max-ns</c> is 32,768).</summary>
    private static readonly long s_pollTicks = Stopwatch.Frequency / 20_000;

    /// <summary>Half of the processors stay for those who have the bytes to send.</summary>
    private static readonly int s_maxPolling = Environment.ProcessorCount / 2;

    private static int s_polling;
    private readonly Socket _socket;
    private long _lastWait = long.MaxValue;

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
            _ => throw Broken(error),
        };
    }

    public override int ReceiveSoon(Span<byte> buffer)
    {
        long start = Stopwatch.GetTimestamp();
        int received = _lastWait <= s_pollTicks && OperatingSystem.IsLinux() ? Poll(buffer, start) : -1;
        if (received < 0) received = Receive(buffer);
        _lastWait = Stopwatch.GetTimestamp() - start;
        return received;
    }

    /// <summary>Receives without waiting until something has come; -1 when nothing has in time, or something is wrong, which waiting will tell.</summary>
    private int Poll(Span<byte> buffer, long start)
    {
        try
        {
            if (Interlocked.Increment(ref s_polling) > s_maxPolling) return -1;
            do
            {
                nint received = Libc.Receive(_socket.SafeHandle, buffer, SocketCallFlags.DontWait);
                if (received >= 0) return (int)received;
                if (Marshal.GetLastPInvokeError() is not (Errno.EAGAIN or Errno.EINTR)) return -1;
                Thread.SpinWait(8);
            }
            while (Stopwatch.GetTimestamp() - start < s_pollTicks);
            return -1;
        }
        finally
        {
            Interlocked.Decrement(ref s_polling);
        }
    }

    public override void Send(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int sent = _socket.Send(bytes, SocketFlags.None, out SocketError error);
            if (error != SocketError.Success) throw Broken(error);
            bytes = bytes[sent..];
        }
    }

    // Elsewhere a blocking socket has no way to send without waiting: nothing is taken, and the connection's own thread for late
    // replies sends.
    public override int TrySend(ReadOnlySpan<byte> bytes)
    {
        if (!OperatingSystem.IsLinux()) return 0;
        nint sent = Libc.Send(_socket.SafeHandle, bytes, SocketCallFlags.DontWait | SocketCallFlags.NoSignal);
        if (sent >= 0) return (int)sent;
        int errno = Marshal.GetLastPInvokeError();
        return errno is Errno.EAGAIN or Errno.EINTR ? 0 : throw new IOException(Errno.Text(errno));
    }

    /// <summary>In the system's words, as everything else that fails is told.</summary>
    private static IOException Broken(SocketError error)
    {
        var exception = new SocketException((int)error);
        return new IOException(OperatingSystem.IsWindows() ? exception.Message : Errno.Text(exception.NativeErrorCode), exception);
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
