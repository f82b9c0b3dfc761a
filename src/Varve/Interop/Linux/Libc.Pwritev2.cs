using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Varve.Interop.Linux;

internal static partial class Libc
{
    /// <summary>pwritev2(2) with one piece of memory: bytes written, or -1.</summary>
    internal static unsafe nint Pwritev2(SafeFileHandle file, ReadOnlySpan<byte> buffer, long offset, ReadWriteFlags flags)
    {
        fixed (byte* start = buffer)
        {
            var piece = new IOVector { Base = start, Length = (nuint)buffer.Length };
            return Pwritev2(file, &piece, 1, offset, flags);
        }
    }

    [LibraryImport("libc", EntryPoint = "pwritev2", SetLastError = true)]
    private static unsafe partial nint Pwritev2(SafeFileHandle file, IOVector* pieces, int count, long offset, ReadWriteFlags flags);
}
