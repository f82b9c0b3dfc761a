using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Varve.Nbd.Interop.Linux;

/// <summary>Flags of send(2) and recv(2).</summary>
[Flags]
internal enum SocketCallFlags
{
    None = 0,

    /// <summary>MSG_DONTWAIT: this call does not wait, whatever the socket's mode.</summary>
    DontWait = 0x40,

    /// <summary>MSG_NOSIGNAL: EPIPE without SIGPIPE.</summary>
    NoSignal = 0x4000,
}

internal static unsafe partial class Libc
{
    /// <summary>send(2): how many bytes were taken, or -1 with errno in <see cref="Marshal.GetLastPInvokeError"/>.</summary>
    public static nint Send(SafeSocketHandle socket, ReadOnlySpan<byte> bytes, SocketCallFlags flags)
    {
        fixed (byte* start = bytes) return SendCore(socket, start, (nuint)bytes.Length, flags);
    }

    /// <summary>recv(2): how many bytes came, 0 at the end of the stream, or -1 with errno in <see cref="Marshal.GetLastPInvokeError"/>.</summary>
    public static nint Receive(SafeSocketHandle socket, Span<byte> buffer, SocketCallFlags flags)
    {
        fixed (byte* start = buffer) return ReceiveCore(socket, start, (nuint)buffer.Length, flags);
    }

    [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
    private static partial nint ReceiveCore(SafeSocketHandle socket, byte* buffer, nuint length, SocketCallFlags flags);

    [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
    private static partial nint SendCore(SafeSocketHandle socket, byte* bytes, nuint length, SocketCallFlags flags);
}
