using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Varve.Interop.Linux;

/// <summary>linux/magic.h.</summary>
internal enum FileSystemType : long
{
    Tmpfs = 0x01021994,
    Ramfs = 0x858458f6,
}

/// <summary>struct statfs of 64-bit systems: what we look at of it. 120 bytes.</summary>
[StructLayout(LayoutKind.Explicit, Size = 120)]
internal struct Statfs
{
    [FieldOffset(0)] public FileSystemType Type;
}

internal static partial class Libc
{
    /// <summary>fstatfs(2): 0, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "fstatfs", SetLastError = true)]
    internal static partial int Fstatfs(SafeFileHandle file, out Statfs system);
}
