using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Varve.Interop.Linux;

/// <summary>What fallocate(2) does with a range; 0 allocates it.</summary>
[Flags]
internal enum FallocateMode
{
    Allocate = 0,

    /// <summary>FALLOC_FL_KEEP_SIZE: the file does not grow.</summary>
    KeepSize = 1,

    /// <summary>FALLOC_FL_PUNCH_HOLE: gives the space back; goes with <see cref="KeepSize"/>.</summary>
    PunchHole = 2,

    /// <summary>FALLOC_FL_ZERO_RANGE: reads as zeros afterwards, the space stays allocated.</summary>
    ZeroRange = 0x10,
}

internal static partial class Libc
{
    /// <summary>fallocate(2): 0, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    internal static partial int Fallocate(SafeFileHandle file, FallocateMode mode, long offset, long length);
}
