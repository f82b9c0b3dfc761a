using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Varve.Interop.Linux;

/// <summary>struct statx: what we look at of it. 256 bytes, the same on every architecture.</summary>
[StructLayout(LayoutKind.Explicit, Size = 256)]
internal struct Statx
{
    [FieldOffset(0)] public StatxMask Mask;
    [FieldOffset(0x1c)] public ushort Mode;
    [FieldOffset(0x20)] public ulong Inode;
    [FieldOffset(0x28)] public ulong Size;

    /// <summary>Units of 512 bytes.</summary>
    [FieldOffset(0x30)] public ulong Blocks;

    [FieldOffset(0x88)] public uint DeviceMajor;
    [FieldOffset(0x8c)] public uint DeviceMinor;

    /// <summary>Address alignment of direct I/O; 0 where the file cannot do it. Valid with <see cref="StatxMask.DirectIOAlignment"/>.</summary>
    [FieldOffset(0x98)] public uint DirectMemoryAlignment;

    /// <summary>Offset and length alignment of direct I/O.</summary>
    [FieldOffset(0x9c)] public uint DirectOffsetAlignment;

    /// <summary>S_ISREG.</summary>
    public readonly bool IsRegularFile => (Mode & 0xF000) == 0x8000;

    /// <summary>S_ISBLK.</summary>
    public readonly bool IsBlockDevice => (Mode & 0xF000) == 0x6000;

    /// <summary>S_ISCHR.</summary>
    public readonly bool IsCharacterDevice => (Mode & 0xF000) == 0x2000;
}

/// <summary>What statx(2) is asked for.</summary>
[Flags]
internal enum StatxMask : uint
{
    BasicStats = 0x7ff,
    DirectIOAlignment = 0x2000,
}

internal static partial class Libc
{
    private const int EmptyPath = 0x1000, WorkingDirectory = -100;   // AT_EMPTY_PATH, AT_FDCWD

    /// <summary>statx(2) of an open file: 0, or -1.</summary>
    internal static int Fstatx(SafeFileHandle file, StatxMask mask, out Statx result) => Fstatx(file, "", EmptyPath, mask, out result);

    /// <summary>statx(2) of a name, links followed: 0, or -1.</summary>
    internal static int Statx(string path, out Statx result) => Statx(WorkingDirectory, path, flags: 0, StatxMask.BasicStats, out result);

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Statx(int directory, string path, int flags, StatxMask mask, out Statx result);

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Fstatx(SafeFileHandle directory, string path, int flags, StatxMask mask, out Statx result);
}
