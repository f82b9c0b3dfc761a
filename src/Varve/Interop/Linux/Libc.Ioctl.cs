using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Varve.Interop.Linux;

/// <summary>The requests of ioctl(2) we use, as x86-64 and arm64 number them.</summary>
internal static class IoctlRequest
{
    /// <summary>FS_IOC_GETFLAGS: inode flags.</summary>
    public const nuint GetInodeFlags = 0x8008_6601;

    /// <summary>FS_IOC_SETFLAGS.</summary>
    public const nuint SetInodeFlags = 0x4008_6602;

    /// <summary>FS_IOC_FSGETXATTR: a <see cref="FsAttributes"/>.</summary>
    public const nuint GetAttributes = 0x801C_581F;

    /// <summary>FS_IOC_FSSETXATTR.</summary>
    public const nuint SetAttributes = 0x401C_5820;

    /// <summary>BLKGETSIZE64: a block device's length in bytes, a u64.</summary>
    public const nuint GetDeviceSize = 0x8008_1272;

    /// <summary>BLKSSZGET: bytes of a block device's logical block, an int.</summary>
    public const nuint GetLogicalBlockSize = 0x1268;

    /// <summary>BLKDISCARD: a <see cref="DeviceRange"/> is no longer needed.</summary>
    public const nuint Discard = 0x1277;

    /// <summary>CDROM_DRIVE_STATUS: answers a <see cref="DriveStatus"/>.</summary>
    public const nuint GetDriveStatus = 0x5326;
}

/// <summary>Inode flags, as chattr(1) sets them.</summary>
[Flags]
internal enum InodeFlags
{
    None = 0,

    /// <summary>FS_NOCOW_FL: blocks are overwritten in place (btrfs); takes effect on an empty file only.</summary>
    NoCow = 0x0080_0000,
}

/// <summary>struct fsxattr.</summary>
[StructLayout(LayoutKind.Sequential, Size = 28)]
internal struct FsAttributes
{
    /// <summary>FS_XFLAG_EXTSIZE: <see cref="ExtentSize"/> counts.</summary>
    public const uint HasExtentSize = 0x800;

    public uint Flags;

    /// <summary>Bytes that are allocated at once.</summary>
    public uint ExtentSize;
}

/// <summary>What BLKDISCARD takes: two u64.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct DeviceRange
{
    public long Offset;
    public long Length;
}

/// <summary>What CDROM_DRIVE_STATUS answers.</summary>
internal enum DriveStatus
{
    /// <summary>CDS_DISC_OK: a medium is in.</summary>
    DiscIsIn = 4,
}

internal static partial class Libc
{
    /// <summary>ioctl(2) on inode flags: 0, or -1. The kernel takes an int, whatever the request's number says.</summary>
    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    internal static partial int Ioctl(SafeFileHandle file, nuint request, ref InodeFlags flags);

    /// <summary>ioctl(2) on extended attributes: 0, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    internal static partial int Ioctl(SafeFileHandle file, nuint request, ref FsAttributes attributes);

    /// <summary>ioctl(2) that fills a u64: 0, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    internal static partial int Ioctl(SafeFileHandle file, nuint request, out long value);

    /// <summary>ioctl(2) that fills an int: 0, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    internal static partial int Ioctl(SafeFileHandle file, nuint request, out int value);

    /// <summary>ioctl(2) on a range of a block device: 0, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    internal static partial int Ioctl(SafeFileHandle file, nuint request, ref DeviceRange range);

    /// <summary>ioctl(2) that takes an int itself and answers one, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    internal static partial int Ioctl(SafeFileHandle file, nuint request, nint argument);
}
