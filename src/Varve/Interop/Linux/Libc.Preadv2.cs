using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Varve.Interop.Linux;

/// <summary>Flags of preadv2(2) and pwritev2(2).</summary>
[Flags]
internal enum ReadWriteFlags
{
    None = 0,

    /// <summary>RWF_DSYNC: done when the data, and what is needed to find it, is durable.</summary>
    DataSync = 2,

    /// <summary>RWF_NOWAIT: only what the page cache holds; EAGAIN where that is nothing.</summary>
    NoWait = 8,
}

/// <summary>struct iovec.</summary>
internal unsafe struct IOVector
{
    public byte* Base;
    public nuint Length;
}

internal static partial class Libc
{
    /// <summary>preadv2(2) with one piece of memory: bytes read, 0 at the end of the file, or -1.</summary>
    internal static unsafe nint Preadv2(SafeFileHandle file, Span<byte> buffer, long offset, ReadWriteFlags flags)
    {
        fixed (byte* start = buffer)
        {
            var piece = new IOVector { Base = start, Length = (nuint)buffer.Length };
            return Preadv2(file, &piece, 1, offset, flags);
        }
    }

    [LibraryImport("libc", EntryPoint = "preadv2", SetLastError = true)]
    private static unsafe partial nint Preadv2(SafeFileHandle file, IOVector* pieces, int count, long offset, ReadWriteFlags flags);
}
