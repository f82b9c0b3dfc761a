using System.Runtime.InteropServices;
using Varve.Interop.Linux;
using Varve.IO;

namespace Varve.Protocols.File;

/// <content>Reading, writing, space. Every transfer goes on after a signal or a short transfer until it is complete.</content>
internal partial class LinuxFile
{
    private const int LargestAlignment = 4096;

    /// <summary>What one system call is given at most. Debug builds cut transfers, so that the loops always run.</summary>
#if DEBUG
    internal const int LargestTransfer = 12 << 10;
#else
    internal const int LargestTransfer = 0x7FFF_F000;   // what Linux transfers at once
#endif

    private volatile CachedReads _cachedReads;
    private int _alignment = 1;

    public override int ReadCached(Span<byte> buffer, long offset)
    {
        int done = 0;
        while (_cachedReads == CachedReads.WithoutWaiting && done < buffer.Length)
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
                case Errno.EINTR:
                    continue;
                case Errno.EAGAIN:
                    return done;
                case Errno.EOPNOTSUPP or Errno.ENOSYS or Errno.EINVAL:   // a file system, or a sandbox, without RWF_NOWAIT
                    _cachedReads = IsInMemory ? CachedReads.Always : CachedReads.Never;
                    break;
                case int errno:
                    throw Failed(errno, offset + done);
            }
        }

        if (_cachedReads != CachedReads.Always) return done;
        Read(buffer[done..], offset + done);
        return buffer.Length;
    }

    /// <summary>Whether the file system is one that has its files nowhere else.</summary>
    private bool IsInMemory => Libc.Fstatfs(Handle, out Statfs system) == 0 && system.Type is FileSystemType.Tmpfs or FileSystemType.Ramfs;

    /// <summary>How the page cache is asked.</summary>
    private enum CachedReads
    {
        /// <summary>Not at all: a file system, or a sandbox, without RWF_NOWAIT; or reads go past the cache.</summary>
        Never,

        /// <summary>With RWF_NOWAIT.</summary>
        WithoutWaiting,

        /// <summary>By reading: all of the file is in memory.</summary>
        Always,
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

            buffer = buffer[(int)read..];
            offset += read;

            // Direct I/O cannot ask again from an odd offset; only the end of the file makes one.
            if (read == 0 || !Align.Is(read, _alignment))
            {
                buffer.Clear();
                return;
            }
        }
    }

    public override void Write(ReadOnlySpan<byte> buffer, long offset)
    {
        if (_turns is null) WriteAll(buffer, offset);
        else if (WriteTurns.IsLarge(buffer.Length)) WriteLarge(_turns, buffer, offset);
        else WriteSmall(_turns, buffer, offset);
    }

    private void WriteSmall(WriteTurns turns, ReadOnlySpan<byte> buffer, long offset)
    {
        turns.BeginSmall();
        try
        {
            WriteAll(buffer, offset);
        }
        finally
        {
            turns.EndSmall();
        }
    }

    private void WriteLarge(WriteTurns turns, ReadOnlySpan<byte> buffer, long offset)
    {
        for (int done = 0; done < buffer.Length; done += WriteTurns.PieceLength)
        {
            ReadOnlySpan<byte> piece = buffer.Slice(done, Math.Min(WriteTurns.PieceLength, buffer.Length - done));
            using (turns.BeginLargePiece()) WriteAll(piece, offset + done);
        }
    }

    /// <summary>Writes without regard to others.</summary>
    protected void WriteAll(ReadOnlySpan<byte> buffer, long offset)
    {
        while (!buffer.IsEmpty) Advance(ref buffer, ref offset, Libc.Pwrite(Handle, Piece(buffer), offset));
    }

    public override void WriteDurably(ReadOnlySpan<byte> buffer, long offset)
    {
        while (!buffer.IsEmpty)
        {
            nint written = Libc.Pwritev2(Handle, Piece(buffer), offset, ReadWriteFlags.DataSync);
            if (written < 0 && Marshal.GetLastPInvokeError() is Errno.EOPNOTSUPP or Errno.ENOSYS)
            {
                base.WriteDurably(buffer, offset);   // a kernel, or a sandbox, without RWF_DSYNC
                return;
            }

            Advance(ref buffer, ref offset, written);
        }
    }

    /// <summary>Takes what one call has written off the front; after a signal nothing, to try again.</summary>
    private void Advance(ref ReadOnlySpan<byte> buffer, ref long offset, nint written)
    {
        if (written < 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno == Errno.EINTR) return;
            throw Failed(errno, offset);
        }

        written = (nint)Align.Down(written, _alignment);   // the rest of a block is written again
        if (written == 0) throw Failed(Errno.ENOSPC, offset);
        buffer = buffer[(int)written..];
        offset += written;
    }

    public override void Flush()
    {
        while (Libc.Fdatasync(Handle) < 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno != Errno.EINTR) throw Failed(errno, null);
        }
    }

    public override void BeginWriteback(long offset, long length) => _ = Libc.SyncFileRange(Handle, offset, length, SyncFileRangeFlags.Write);

    public override bool TryPunchHole(long offset, long length)
        => TryFallocate(FallocateMode.PunchHole | FallocateMode.KeepSize, offset, length);

    public override bool TryZeroRange(long offset, long length) => TryFallocate(FallocateMode.ZeroRange, offset, length);

    public override bool TryAllocate(long offset, long length) => TryFallocate(FallocateMode.Allocate, offset, length);

    public override HostExtent FindExtent(long offset)
    {
        long data = Libc.Lseek(Handle, offset, SeekTarget.Data);
        if (data < 0)
        {
            // ENXIO: no data from here on. Anything else: a file system that does not tell.
            return new(IsData: Marshal.GetLastPInvokeError() != Errno.ENXIO, long.MaxValue);
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

    public override void DisableCopyOnWrite()
    {
        var flags = InodeFlags.None;
        if (Libc.Ioctl(Handle, IoctlRequest.GetInodeFlags, ref flags) < 0) return;
        flags |= InodeFlags.NoCow;
        _ = Libc.Ioctl(Handle, IoctlRequest.SetInodeFlags, ref flags);   // most file systems know no such thing: nothing to turn off
    }

    public override uint ExtentSizeHint
    {
        get
        {
            var attributes = default(FsAttributes);
            return Libc.Ioctl(Handle, IoctlRequest.GetAttributes, ref attributes) < 0 || (attributes.Flags & FsAttributes.HasExtentSize) == 0
                ? 0
                : attributes.ExtentSize;
        }

        set
        {
            var attributes = default(FsAttributes);
            if (Libc.Ioctl(Handle, IoctlRequest.GetAttributes, ref attributes) < 0) return;
            attributes.Flags |= FsAttributes.HasExtentSize;
            attributes.ExtentSize = value;
            _ = Libc.Ioctl(Handle, IoctlRequest.SetAttributes, ref attributes);
        }
    }

    private bool TryFallocate(FallocateMode mode, long offset, long length)
    {
        while (Libc.Fallocate(Handle, mode, offset, length) < 0)
        {
            switch (Marshal.GetLastPInvokeError())
            {
                case Errno.EINTR:
                    continue;
                case Errno.EOPNOTSUPP or Errno.ENOSYS or Errno.EINVAL or Errno.ENOTTY or Errno.ENODEV:
                    return false;
                case int errno:
                    throw Failed(errno, offset);
            }
        }

        return true;
    }

    /// <summary>The alignment direct I/O needs: what the kernel says, or the smallest with which a read works.</summary>
    protected virtual int FindAlignment(Statx status)
    {
        if ((status.Mask & StatxMask.DirectIOAlignment) != 0 && status.DirectOffsetAlignment != 0)
        {
            return (int)Math.Max(status.DirectOffsetAlignment, status.DirectMemoryAlignment);
        }

        using IOBuffer probe = IOBuffer.Rent(2 * LargestAlignment);
        for (int alignment = Align.SectorSize; alignment < LargestAlignment; alignment *= 2)
        {
            if (Libc.Pread(Handle, probe.Span.Slice(alignment, alignment), 0) >= 0) return alignment;
        }

        return LargestAlignment;
    }

    private static Span<byte> Piece(Span<byte> buffer) => buffer.Length <= LargestTransfer ? buffer : buffer[..LargestTransfer];

    private static ReadOnlySpan<byte> Piece(ReadOnlySpan<byte> buffer) => buffer.Length <= LargestTransfer ? buffer : buffer[..LargestTransfer];

    internal static BlockException Failed(int errno, long? offset)
        => new(Errno.KindOf(errno), Errno.Text(errno)) { Errno = errno, Offset = offset };
}
