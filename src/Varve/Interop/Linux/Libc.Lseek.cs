using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Varve.Interop.Linux;

/// <summary>What lseek(2) looks for.</summary>
internal enum SeekTarget
{
    /// <summary>SEEK_END: the end of the file.</summary>
    End = 2,

    /// <summary>SEEK_DATA: the first data at or after an offset; ENXIO when there is none.</summary>
    Data = 3,

    /// <summary>SEEK_HOLE: the first hole at or after an offset; the end of a file is one.</summary>
    Hole = 4,
}

internal static partial class Libc
{
    /// <summary>lseek(2): the offset found, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "lseek", SetLastError = true)]
    internal static partial long Lseek(SafeFileHandle file, long offset, SeekTarget origin);
}
