using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Varve.Interop.Linux;

/// <summary>What sync_file_range(2) does with the dirty pages of a range.</summary>
[Flags]
internal enum SyncFileRangeFlags : uint
{
    /// <summary>SYNC_FILE_RANGE_WRITE: begins to write them, and waits only where the device's queue is full.</summary>
    Write = 2,
}

internal static partial class Libc
{
    /// <summary>sync_file_range(2): 0, or -1 with errno set. Makes nothing durable: neither what is needed to find the data nor the device's cache.</summary>
    [LibraryImport("libc", EntryPoint = "sync_file_range", SetLastError = true)]
    internal static partial int SyncFileRange(SafeFileHandle file, long offset, long length, SyncFileRangeFlags flags);
}
