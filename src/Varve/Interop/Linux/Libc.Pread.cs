using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Varve.Interop.Linux;

internal static partial class Libc
{
    /// <summary>pread(2): bytes read, 0 at the end of the file, or -1.</summary>
    internal static nint Pread(SafeFileHandle file, Span<byte> buffer, long offset)
        => Pread(file, ref MemoryMarshal.GetReference(buffer), (nuint)buffer.Length, offset);

    [LibraryImport("libc", EntryPoint = "pread", SetLastError = true)]
    private static partial nint Pread(SafeFileHandle file, ref byte buffer, nuint length, long offset);
}
