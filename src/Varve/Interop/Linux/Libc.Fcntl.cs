using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Varve.Interop.Linux;

/// <summary>The commands of fcntl(2) we use.</summary>
internal enum FcntlCommand
{
    /// <summary>F_GETFD: fails with EBADF where the descriptor is not open.</summary>
    GetDescriptorFlags = 1,

    /// <summary>F_GETFL: the <see cref="OpenFlags"/> a file was opened with.</summary>
    GetStatusFlags = 3,

    /// <summary>F_SETFL: changes the status flags that can change, O_DIRECT among them.</summary>
    SetStatusFlags = 4,

    /// <summary>F_OFD_GETLK: the first lock of another open file description that stands in the way.</summary>
    GetLock = 36,

    /// <summary>F_OFD_SETLK: takes or gives up a lock, without waiting.</summary>
    SetLock = 37,

    /// <summary>F_DUPFD_CLOEXEC.</summary>
    DuplicateCloseOnExec = 1030,
}

/// <summary>Types of record locks.</summary>
internal enum LockType : short { Read = 0, Write = 1, Unlock = 2 }

/// <summary>struct flock of 64-bit Linux, for locks owned by an open file description.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct FileLock
{
    public LockType Type;

    /// <summary>SEEK_SET is 0.</summary>
    public short Whence;

    public long Start;

    /// <summary>Bytes; 0 is to the end of the file, however far it grows.</summary>
    public long Length;

    /// <summary>0 on the way in. On the way out the owner, or -1 where an open file description owns the lock.</summary>
    public int ProcessId;
}

internal static partial class Libc
{
    /// <summary>fcntl(2) with a number: what the command returns, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    internal static partial int Fcntl(SafeFileHandle file, FcntlCommand command, int argument);

    /// <summary>fcntl(2) with a lock: 0, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    internal static partial int Fcntl(SafeFileHandle file, FcntlCommand command, ref FileLock record);
}
