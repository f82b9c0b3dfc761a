using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Varve.Interop.Linux;

internal static partial class Libc
{
    /// <summary>pwrite(2): bytes written, or -1.</summary>
    internal static nint Pwrite(SafeFileHandle file, ReadOnlySpan<byte> buffer, long offset)
        => Pwrite(file, ref MemoryMarshal.GetReference(buffer), (nuint)buffer.Length, offset);

    [LibraryImport("libc", EntryPoint = "pwrite", SetLastError = true)]
    private static partial nint Pwrite(SafeFileHandle file, ref readonly byte buffer, nuint length, long offset);
}
