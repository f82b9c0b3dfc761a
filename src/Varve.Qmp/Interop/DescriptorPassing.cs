using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Varve.Qmp.Interop;

/// <summary>Descriptors that travel with bytes over a unix socket (SCM_RIGHTS; unix(7), cmsg(3)).</summary>
internal static unsafe class DescriptorPassing
{
    /// <summary>The kernel passes no more at once (SCM_MAX_FD).</summary>
    private const int MaxDescriptors = 253;

    private const int HeaderSize = 16;   // struct cmsghdr: 0 u64 len  8 i32 level  12 i32 type
    private const int SolSocket = 1, ScmRights = 1;

    /// <summary>Reads what is there without waiting.</summary>
    /// <returns>False when nothing is there after all.</returns>
    /// <exception cref="SocketException">The connection failed.</exception>
    public static bool TryReceive(SafeSocketHandle socket, Span<byte> buffer, ICollection<SafeFileHandle> descriptors, out int count)
    {
        Span<long> control = stackalloc long[(HeaderSize + MaxDescriptors * sizeof(int) + 7) / 8];   // aligned as cmsghdr is
        fixed (byte* data = buffer)
        fixed (long* rights = control)
        {
            var vector = new Libc.IOVector { Base = data, Length = (nuint)buffer.Length };
            var message = new Libc.MessageHeader
            {
                Vectors = &vector, VectorCount = 1, Control = rights, ControlLength = (nuint)(control.Length * sizeof(long)),
            };
            nint received = Libc.ReceiveMessage(socket, &message, Libc.MessageFlags.CloseOnExec | Libc.MessageFlags.DontWait);
            if (received < 0)
            {
                int errno = Marshal.GetLastPInvokeError();
                count = 0;
                if (errno is Errno.EAGAIN or Errno.EINTR) return false;
                throw new SocketException(errno == Errno.ECONNRESET ? (int)SocketError.ConnectionReset : (int)SocketError.SocketError);
            }

            Collect(MemoryMarshal.AsBytes(control)[..(int)message.ControlLength], descriptors);
            count = (int)received;
            return true;
        }
    }

    /// <summary>Sends bytes with one descriptor. The bytes are few enough for the socket's buffer to take them at once.</summary>
    /// <exception cref="BlockException">The send failed.</exception>
    public static int Send(SafeSocketHandle socket, ReadOnlySpan<byte> bytes, SafeHandle descriptor)
    {
        Span<long> control = stackalloc long[(HeaderSize + sizeof(long)) / sizeof(long)];
        Span<byte> header = MemoryMarshal.AsBytes(control);
        bool added = false;
        try
        {
            descriptor.DangerousAddRef(ref added);
            MemoryMarshal.Write(header, (ulong)(HeaderSize + sizeof(int)));
            MemoryMarshal.Write(header[8..], SolSocket);
            MemoryMarshal.Write(header[12..], ScmRights);
            MemoryMarshal.Write(header[16..], (int)descriptor.DangerousGetHandle());
            fixed (byte* data = bytes)
            fixed (long* rights = control)
            {
                var vector = new Libc.IOVector { Base = data, Length = (nuint)bytes.Length };
                var message = new Libc.MessageHeader
                {
                    Vectors = &vector, VectorCount = 1, Control = rights, ControlLength = (nuint)header.Length,
                };
                nint sent = Libc.SendMessage(socket, &message, Libc.MessageFlags.NoSignal);
                return sent >= 0 ? (int)sent : throw BlockException.FromErrno(Marshal.GetLastPInvokeError(), "sendmsg");
            }
        }
        finally
        {
            if (added) descriptor.DangerousRelease();
        }
    }

    private static void Collect(ReadOnlySpan<byte> control, ICollection<SafeFileHandle> descriptors)
    {
        while (control.Length >= HeaderSize)
        {
            int length = (int)MemoryMarshal.Read<ulong>(control);
            if (length < HeaderSize || length > control.Length) return;
            if (MemoryMarshal.Read<int>(control[8..]) == SolSocket && MemoryMarshal.Read<int>(control[12..]) == ScmRights)
            {
                foreach (int descriptor in MemoryMarshal.Cast<byte, int>(control[HeaderSize..length]))
                {
                    descriptors.Add(new SafeFileHandle(descriptor, ownsHandle: true));
                }
            }

            control = control[Math.Min(control.Length, (length + 7) & ~7)..];
        }
    }
}
