using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Varve.Interop.Linux;
using Varve.IO;

namespace Varve.Protocols.File;

/// <summary>A block or character device: of a fixed length, its space not ours to allocate.</summary>
internal sealed class LinuxDevice : LinuxFile
{
    private const int CurrentSlot = int.MaxValue;   // CDSL_CURRENT

    private long _length;
    private int _blockSize = Align.SectorSize;
    private bool _isBlockDevice;

    internal LinuxDevice(HostFileKind kind, string filename, SafeFileHandle handle, HostFileAccess access, FdSets fdSets, long? fdSet)
        : base(filename, handle, access, fdSets, fdSet) => Kind = kind;

    public override HostFileKind Kind { get; }

    /// <summary>Whether the disc is in is looked at before every request: not something to hand to the kernel.</summary>
    public override SafeFileHandle? UringHandle => Kind == HostFileKind.Cdrom ? null : Handle;

    public override long Length => _length;

    public override bool HasMedium
        => Kind != HostFileKind.Cdrom || Libc.Ioctl(Handle, IoctlRequest.GetDriveStatus, CurrentSlot) == (int)DriveStatus.DiscIsIn;

    /// <summary>Whether a name leads to a drive whose medium can be taken out. The medium need not be in.</summary>
    public static bool IsCdrom(string filename)
    {
        int descriptor = Libc.Open(filename, OpenFlags.ReadOnly | OpenFlags.NonBlock | OpenFlags.CloseOnExec, 0);
        if (descriptor < 0) return false;
        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        return Libc.Ioctl(handle, IoctlRequest.GetDriveStatus, CurrentSlot) >= 0;
    }

    protected override void RequireKind(Statx status, string filename)
    {
        if (!status.IsBlockDevice && !status.IsCharacterDevice)
        {
            throw new BlockException(
                BlockErrorKind.Invalid, $"'{HostDeviceDriver.NameOf(Kind)}' driver requires '{filename}' to be either a character or block device");
        }

        _isBlockDevice = status.IsBlockDevice;
        if (_isBlockDevice && Libc.Ioctl(Handle, IoctlRequest.GetLogicalBlockSize, out int blockSize) == 0 && blockSize > 0) _blockSize = blockSize;
        _length = FindLength();
    }

    public override int ReadCached(Span<byte> buffer, long offset) => Kind == HostFileKind.Cdrom ? 0 : base.ReadCached(buffer, offset);

    public override void Read(Span<byte> buffer, long offset)
    {
        RequireMedium();
        base.Read(buffer, offset);
    }

    public override void Write(ReadOnlySpan<byte> buffer, long offset)
    {
        RequireMedium();
        WriteAll(buffer, offset);   // the kernel lets several write to a device at once
    }

    public override void WriteDurably(ReadOnlySpan<byte> buffer, long offset)
    {
        RequireMedium();
        base.WriteDurably(buffer, offset);
    }

    /// <summary>Character devices have nothing to flush, and say so in several ways.</summary>
    public override void Flush()
    {
        if (_isBlockDevice) base.Flush();
    }

    /// <summary>Whole blocks; a ragged edge is kept, for it is only a hint.</summary>
    public override bool TryDiscard(long offset, long length)
    {
        RequireMedium();
        long start = Align.Up(offset, _blockSize), end = Align.Down(offset + length, _blockSize);
        if (!_isBlockDevice || start >= end) return false;
        var range = new DeviceRange { Offset = start, Length = end - start };
        while (Libc.Ioctl(Handle, IoctlRequest.Discard, ref range) < 0)
        {
            switch (Marshal.GetLastPInvokeError())
            {
                case Errno.EINTR:
                    continue;
                case Errno.EOPNOTSUPP or Errno.ENOTTY or Errno.ENOSYS:
                    return false;
                case int errno:
                    throw Failed(errno, offset);
            }
        }

        return true;
    }

    // Zeros, unlike a discard, are promised: fallocate(2) does not unmap where the device would not read as zeros afterwards.
    public override bool TryPunchHole(long offset, long length) => IsWholeBlocks(offset, length) && base.TryPunchHole(offset, length);

    public override bool TryZeroRange(long offset, long length) => IsWholeBlocks(offset, length) && base.TryZeroRange(offset, length);

    public override bool TryAllocate(long offset, long length) => false;

    public override HostExtent FindExtent(long offset) => new(IsData: true, long.MaxValue);

    protected override int FindAlignment(Statx status) => _isBlockDevice ? Math.Max(_blockSize, base.FindAlignment(status)) : 1;

    private bool IsWholeBlocks(long offset, long length) => _isBlockDevice && Align.Is(offset, _blockSize) && Align.Is(length, _blockSize);

    private long FindLength()
    {
        if (_isBlockDevice && Libc.Ioctl(Handle, IoctlRequest.GetDeviceSize, out long length) == 0) return length;
        length = Libc.Lseek(Handle, 0, SeekTarget.End);
        return length >= 0 ? length : throw BlockException.FromErrno(Marshal.GetLastPInvokeError(), "Could not refresh total sector count");
    }

    private void RequireMedium()
    {
        if (!HasMedium) throw BlockException.FromErrno(Errno.ENOMEDIUM);
    }
}
