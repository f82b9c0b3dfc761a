using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Varve.Qmp.Interop;

/// <summary>sendmsg(2) and recvmsg(2): bytes with control messages.</summary>
internal static unsafe partial class Libc
{
    [Flags]
    internal enum MessageFlags
    {
        DontWait = 0x40,
        NoSignal = 0x4000,
        CloseOnExec = 0x4000_0000,
    }

    /// <summary>struct iovec.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct IOVector
    {
        public byte* Base;
        public nuint Length;
    }

    /// <summary>struct msghdr of 64-bit Linux.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct MessageHeader
    {
        public void* Name;
        public uint NameLength;
        public IOVector* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }

    /// <summary>recvmsg(2): bytes, or -1 with errno in <see cref="Marshal.GetLastPInvokeError"/>.</summary>
    [LibraryImport("libc", EntryPoint = "recvmsg", SetLastError = true)]
    internal static partial nint ReceiveMessage(SafeSocketHandle socket, MessageHeader* message, MessageFlags flags);

    /// <summary>sendmsg(2): bytes, or -1 with errno in <see cref="Marshal.GetLastPInvokeError"/>.</summary>
    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    internal static partial nint SendMessage(SafeSocketHandle socket, MessageHeader* message, MessageFlags flags);
}
