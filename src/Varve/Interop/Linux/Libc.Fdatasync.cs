using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Varve.Interop.Linux;

internal static partial class Libc
{
    /// <summary>fdatasync(2): 0 when data and what is needed to find it are durable, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    internal static partial int Fdatasync(SafeFileHandle file);
}
