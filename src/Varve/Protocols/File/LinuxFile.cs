using System.Numerics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Varve.Interop.Linux;
using Varve.IO;

namespace Varve.Protocols.File;

/// <summary>A host file by Linux's system calls.</summary>
internal sealed class LinuxFile : HostFile
{
    /// <summary>Debug builds cut transfers in pieces, so that the loops that go on after a short one always run.</summary>
#if DEBUG
    private const int LargestTransfer = 48 << 10;
#else
    private const int LargestTransfer = 0x7FFF_F000;   // what Linux transfers at once
#endif

    private readonly string _filename;
    private readonly Action? _onClosed;
    private readonly bool _isFdSet;
    private readonly Func<HostFileAccess, LinuxFile>? _reopen;
    private bool _canReadCached;

    private LinuxFile(string filename, SafeFileHandle handle, HostFileAccess access, Action? onClosed, Func<HostFileAccess, LinuxFile>? reopen)
    {
        _filename = filename;
        Handle = handle;
        Access = access;
        _onClosed = onClosed;
        _isFdSet = onClosed is not null;
        _reopen = reopen;
        _canReadCached = !access.Direct;
    }

    public override SafeFileHandle Handle { get; }

    public override HostFileAccess Access { get; }

    public override int Alignment => 1;

    public override long Length => (long)Stat().Size;

    public override long? AllocatedSize => (long)Stat().Blocks * 512;

    public static LinuxFile OpenExisting(string filename, HostFileAccess access, FdSets fdSets)
    {
        OpenFlags flags = OpenFlags.CloseOnExec | (access.Writable ? OpenFlags.ReadWrite : OpenFlags.ReadOnly);
        if (access.Direct) flags |= Libc.DirectFlag;
        int descriptor = Libc.Open(filename, flags, 0);
        if (descriptor < 0) throw BlockException.FromErrno(Marshal.GetLastPInvokeError(), $"Could not open '{filename}'");
        var file = new LinuxFile(filename, new SafeFileHandle(descriptor, ownsHandle: true), access, null, null);
        if (file.Stat().IsRegularFile) return file;
        file.Dispose();
        throw new BlockException(BlockErrorKind.Invalid, $"'file' driver requires '{filename}' to be a regular file");
    }

    public override int ReadCached(Span<byte> buffer, long offset)
    {
        int done = 0;
        while (_canReadCached && done < buffer.Length)
        {
            nint read = Libc.Preadv2(Handle, Piece(buffer[done..]), offset + done, ReadWriteFlags.NoWait);
            if (read > 0)
            {
                done += (int)read;
                continue;
            }

            if (read == 0)
            {
                buffer[done..].Clear();
                return buffer.Length;
            }

            switch (Marshal.GetLastPInvokeError())
            {
                case Errno.EINTR: continue;
                case Errno.EAGAIN: return done;
                case Errno.EOPNOTSUPP or Errno.ENOSYS: _canReadCached = false; return done;
                case int errno: throw Failed(errno, offset + done);
            }
        }

        return done;
    }

    public override void Read(Span<byte> buffer, long offset)
    {
        while (!buffer.IsEmpty)
        {
            nint read = Libc.Pread(Handle, Piece(buffer), offset);
            if (read < 0)
            {
                int errno = Marshal.GetLastPInvokeError();
                if (errno == Errno.EINTR) continue;
                throw Failed(errno, offset);
            }

            if (read == 0)
            {
                buffer.Clear();
                return;
            }

            buffer = buffer[(int)read..];
            offset += read;
        }
    }

    public override void Write(ReadOnlySpan<byte> buffer, long offset)
    {
        while (!buffer.IsEmpty)
        {
            nint written = Libc.Pwrite(Handle, Piece(buffer), offset);
            if (written < 0)
            {
                int errno = Marshal.GetLastPInvokeError();
                if (errno == Errno.EINTR) continue;
                throw Failed(errno, offset);
            }

            buffer = buffer[(int)written..];
            offset += written;
        }
    }

    public override void Flush()
    {
        while (Libc.Fdatasync(Handle) < 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno != Errno.EINTR) throw Failed(errno, null);
        }
    }

    public override bool TryPunchHole(long offset, long length) => TryFallocate(FallocateMode.PunchHole | FallocateMode.KeepSize, offset, length);

    public override bool TryZeroRange(long offset, long length) => TryFallocate(FallocateMode.ZeroRange, offset, length);

    public override bool TryAllocate(long offset, long length) => TryFallocate(FallocateMode.Allocate, offset, length);

    public override HostExtent FindExtent(long offset)
    {
        long data = Libc.Lseek(Handle, offset, SeekTarget.Data);
        if (data < 0)
        {
            // ENXIO: no data from here on. Anything else: a file system that does not tell.
            return Marshal.GetLastPInvokeError() == Errno.ENXIO ? new(IsData: false, long.MaxValue) : new(IsData: true, long.MaxValue);
        }

        if (data > offset) return new(IsData: false, data);
        long hole = Libc.Lseek(Handle, offset, SeekTarget.Hole);
        return new(IsData: true, hole > offset ? hole : long.MaxValue);
    }

    public override void SetLength(long length)
    {
        while (Libc.Ftruncate(Handle, length) < 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno != Errno.EINTR) throw Failed(errno, null);
        }
    }

    public override HostFile Reopen(HostFileAccess access) => OpenExisting(_filename, access, null!);

    public override void Dispose() => Handle.Dispose();

    private bool TryFallocate(FallocateMode mode, long offset, long length)
    {
        while (Libc.Fallocate(Handle, mode, offset, length) < 0)
        {
            switch (Marshal.GetLastPInvokeError())
            {
                case Errno.EINTR: continue;
                case Errno.EOPNOTSUPP or Errno.ENOSYS or Errno.EINVAL or Errno.ENOTTY or Errno.ENODEV: return false;
                case int errno: throw Failed(errno, offset);
            }
        }

        return true;
    }

    private Statx Stat()
        => Libc.Fstatx(Handle, StatxMask.BasicStats | StatxMask.DirectIOAlignment, out Statx result) == 0
            ? result
            : throw Failed(Marshal.GetLastPInvokeError(), null);

    private static Span<byte> Piece(Span<byte> buffer) => buffer.Length <= LargestTransfer ? buffer : buffer[..LargestTransfer];

    private static ReadOnlySpan<byte> Piece(ReadOnlySpan<byte> buffer) => buffer.Length <= LargestTransfer ? buffer : buffer[..LargestTransfer];

    private static BlockException Failed(int errno, long? offset)
        => new(Errno.KindOf(errno), Errno.Text(errno)) { Errno = errno, Offset = offset };
}
