using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Varve.Interop.Linux;

namespace Varve.Protocols.File;

/// <summary>A host file by Linux's system calls: opening, closing, locks. The data lies in the other part.</summary>
internal partial class LinuxFile : HostFile
{
    private readonly string _filename;
    private readonly FdSets _fdSets;
    private readonly long? _fdSet;   // the set that Handle is a duplicate out of
    private readonly WriteTurns? _turns;   // null past the page cache, where the kernel lets several write at once
    private int _closed;

    protected LinuxFile(string filename, SafeFileHandle handle, HostFileAccess access, FdSets fdSets, long? fdSet)
    {
        _filename = filename;
        Handle = handle;
        Access = access;
        _fdSets = fdSets;
        _fdSet = fdSet;
        _cachedReads = access.Direct ? CachedReads.Never : CachedReads.WithoutWaiting;
        _turns = access.Direct ? null : new WriteTurns();
    }

    public override SafeFileHandle Handle { get; }

    public override SafeFileHandle? UringHandle => Handle;

    public override HostFileAccess Access { get; }

    public override int Alignment => _alignment;

    public override long Length => (long)Stat().Size;

    public override long? AllocatedSize => (long)Stat().Blocks * 512;

    public static LinuxFile OpenExisting(string filename, HostFileAccess access, FdSets fdSets, HostFileKind kind = HostFileKind.Regular)
    {
        OpenFlags flags = FlagsFor(access);
        long? fdSet = FdSets.ParseName(filename);
        SafeFileHandle handle = fdSet is { } set ? DuplicateFrom(fdSets, set, flags, filename) : OpenPath(filename, flags, filename);
        return Check(Make(kind, filename, handle, access, fdSets, fdSet));
    }

    /// <summary>Creates the file, or opens the one that is there, without truncating it.</summary>
    public static LinuxFile CreateOrOpen(string filename, FdSets fdSets)
    {
        if (FdSets.ParseName(filename) is not null) return OpenExisting(filename, new(Writable: true, Direct: false), fdSets);
        int descriptor = Libc.Open(filename, OpenFlags.ReadWrite | OpenFlags.Create | OpenFlags.CloseOnExec, 0x1A4);   // rw-r--r--
        if (descriptor < 0) throw BlockException.FromErrno(Marshal.GetLastPInvokeError(), $"Could not create '{filename}'");
        var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        return Check(new LinuxFile(filename, handle, new(Writable: true, Direct: false), fdSets, null));
    }

    // Differs from QEMU: not by name, which may mean another file by now, or none.

    /// <summary>A descriptor set gives another of its descriptors; other files are opened again through the descriptor we hold.</summary>
    public override HostFile Reopen(HostFileAccess access)
    {
        if (_fdSet is not null) return OpenExisting(_filename, access, _fdSets, Kind);
        string ours = $"/proc/self/fd/{Handle.DangerousGetHandle()}";
        return Check(Make(
            Kind, _filename, OpenPath(System.IO.Path.Exists(ours) ? ours : _filename, FlagsFor(access), _filename), access, _fdSets, null));
    }

    public override int TryLock(long offset)
    {
        var record = new FileLock { Type = LockType.Read, Start = offset, Length = 1 };
        return Libc.Fcntl(Handle, FcntlCommand.SetLock, ref record) < 0 ? Marshal.GetLastPInvokeError() : 0;
    }

    public override void Unlock(long offset)
    {
        var record = new FileLock { Type = LockType.Unlock, Start = offset, Length = 1 };
        _ = Libc.Fcntl(Handle, FcntlCommand.SetLock, ref record);   // closing gives it up if this does not
    }

    public override bool IsLockedByOther(long offset)
    {
        var record = new FileLock { Type = LockType.Write, Start = offset, Length = 1 };
        return Libc.Fcntl(Handle, FcntlCommand.GetLock, ref record) < 0
            ? throw BlockException.FromErrno(Marshal.GetLastPInvokeError(), $"Failed to query the lock of byte {offset}")
            : record.Type != LockType.Unlock;
    }

    public override string? DescribeLockHolder(long offset) => LockHolder.Find(Stat().Inode, offset, except: Handle);

    public override string? FindPath()
    {
        try
        {
            return new FileInfo($"/proc/self/fd/{Handle.DangerousGetHandle()}").LinkTarget;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    public override void Dispose()
    {
        if (Interlocked.Exchange(ref _closed, 1) != 0) return;
        Handle.Dispose();
        if (_fdSet is { } set) _fdSets.Returned(set);
    }

    private static OpenFlags FlagsFor(HostFileAccess access)
        => (access.Writable ? OpenFlags.ReadWrite : OpenFlags.ReadOnly) | (access.Direct ? Libc.DirectFlag : 0);

    private static SafeFileHandle OpenPath(string path, OpenFlags flags, string name)
    {
        int descriptor;
        do descriptor = Libc.Open(path, flags | OpenFlags.CloseOnExec | OpenFlags.NonBlock, 0);   // a FIFO is refused, not waited for
        while (descriptor < 0 && Marshal.GetLastPInvokeError() == Errno.EINTR);
        return descriptor < 0 ? throw CannotOpen(name, flags, Marshal.GetLastPInvokeError()) : new SafeFileHandle(descriptor, ownsHandle: true);
    }

    private static SafeFileHandle DuplicateFrom(FdSets fdSets, long set, OpenFlags flags, string name)
    {
        SafeFileHandle handle = fdSets.Duplicate(set, flags);
        int status = Libc.Fcntl(handle, FcntlCommand.GetStatusFlags, 0);
        if (status >= 0 && ((OpenFlags)status & Libc.DirectFlag) == (flags & Libc.DirectFlag)) return handle;
        if (status >= 0)
        {
            // The flag belongs to the open file, which the giver shares with us: it sees the change too, as it does with the reference.
            status = (int)(((OpenFlags)status & ~Libc.DirectFlag) | (flags & Libc.DirectFlag));
            status = Libc.Fcntl(handle, FcntlCommand.SetStatusFlags, status);
        }

        if (status >= 0) return handle;
        int errno = Marshal.GetLastPInvokeError();
        handle.Dispose();
        fdSets.Returned(set);
        throw CannotOpen(name, flags, errno);
    }

    private static LinuxFile Make(HostFileKind kind, string filename, SafeFileHandle handle, HostFileAccess access, FdSets fdSets, long? fdSet)
        => kind == HostFileKind.Regular
            ? new LinuxFile(filename, handle, access, fdSets, fdSet)
            : new LinuxDevice(kind, filename, handle, access, fdSets, fdSet);

    private static LinuxFile Check(LinuxFile file)
    {
        try
        {
            Statx status = file.Stat();
            file.RequireKind(status, file._filename);
            if (file.Access.Direct) file._alignment = file.FindAlignment(status);
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Refuses what this is not made for, and learns what there is to know about it.</summary>
    protected virtual void RequireKind(Statx status, string filename)
    {
        if (!status.IsRegularFile) throw new BlockException(BlockErrorKind.Invalid, $"'file' driver requires '{filename}' to be a regular file");
    }

    private Statx Stat()
        => Libc.Fstatx(Handle, StatxMask.BasicStats | StatxMask.DirectIOAlignment, out Statx result) == 0
            ? result
            : throw Failed(Marshal.GetLastPInvokeError(), null);

    private static BlockException CannotOpen(string name, OpenFlags flags, int errno)
        => errno == Errno.EINVAL && (flags & Libc.DirectFlag) != 0
            ? new(BlockErrorKind.Unsupported, $"Could not open '{name}': filesystem does not support O_DIRECT") { Errno = errno }
            : BlockException.FromErrno(errno, $"Could not open '{name}'");
}
