using Microsoft.Win32.SafeHandles;

namespace Varve.Protocols.File;

/// <summary>A host file by what .NET offers everywhere: no holes, no locks, no direct I/O.</summary>
internal sealed class PortableFile : HostFile
{
    private readonly string _filename;

    private PortableFile(string filename, SafeFileHandle handle, HostFileAccess access)
    {
        _filename = filename;
        Handle = handle;
        Access = access;
    }

    public override SafeFileHandle Handle { get; }

    public override HostFileAccess Access { get; }

    public override int Alignment => 1;

    public override long Length => Do(() => RandomAccess.GetLength(Handle));

    public override long? AllocatedSize => null;

    /// <summary>By the name, as it is resolved now: here nothing leads from an open file to its path.</summary>
    public override string? FindPath() => Graph.FileNames.CanonicalPath(_filename);

    public static PortableFile OpenExisting(string filename, HostFileAccess access)
    {
        if (access.Direct) throw new BlockException(BlockErrorKind.Unsupported, "cache.direct is not supported on this platform");
        return Open(filename, FileMode.Open, access, "open");
    }

    /// <summary>Creates the file, or opens the one that is there, without truncating it.</summary>
    public static PortableFile CreateOrOpen(string filename) => Open(filename, FileMode.OpenOrCreate, new(Writable: true, Direct: false), "create");

    public override int ReadCached(Span<byte> buffer, long offset) => 0;   // nothing says what would block

    public override void Read(Span<byte> buffer, long offset)
    {
        while (!buffer.IsEmpty)
        {
            int read;
            try
            {
                read = RandomAccess.Read(Handle, buffer, offset);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw Failed(e);
            }

            if (read == 0)
            {
                buffer.Clear();
                return;
            }

            buffer = buffer[read..];
            offset += read;
        }
    }

    public override void Write(ReadOnlySpan<byte> buffer, long offset)
    {
        try
        {
            RandomAccess.Write(Handle, buffer, offset);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Failed(e);
        }
    }

    public override void Flush() => Do(() =>
    {
        RandomAccess.FlushToDisk(Handle);
        return true;
    });

    public override bool TryPunchHole(long offset, long length) => false;

    public override bool TryZeroRange(long offset, long length) => false;

    public override bool TryAllocate(long offset, long length) => false;

    public override HostExtent FindExtent(long offset) => new(IsData: true, long.MaxValue);

    public override void SetLength(long length) => Do(() =>
    {
        RandomAccess.SetLength(Handle, length);
        return true;
    });

    public override HostFile Reopen(HostFileAccess access) => OpenExisting(_filename, access);

    public override void Dispose() => Handle.Dispose();

    private static PortableFile Open(string filename, FileMode mode, HostFileAccess access, string verb)
    {
        try
        {
            SafeFileHandle handle = System.IO.File.OpenHandle(
                filename, mode, access.Writable ? FileAccess.ReadWrite : FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            return new PortableFile(filename, handle, access);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw BlockException.FromErrno(ErrnoOf(e), $"Could not {verb} '{filename}'");
        }
    }

    private static T Do<T>(Func<T> operation)
    {
        try
        {
            return operation();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Failed(e);
        }
    }

    private static BlockException Failed(Exception e) => BlockException.FromErrno(ErrnoOf(e));

    private static int ErrnoOf(Exception e) => e switch
    {
        FileNotFoundException or DirectoryNotFoundException => Errno.ENOENT,
        UnauthorizedAccessException => Errno.EACCES,
        PathTooLongException => Errno.ENAMETOOLONG,
        IOException when e.HResult is > 0 and <= 133 && !OperatingSystem.IsWindows() => e.HResult,   // .NET hands on errno there
        IOException when (e.HResult & 0xFFFF) is 0x70 or 0x27 => Errno.ENOSPC,   // ERROR_DISK_FULL, ERROR_HANDLE_DISK_FULL
        _ => Errno.EIO,
    };
}
