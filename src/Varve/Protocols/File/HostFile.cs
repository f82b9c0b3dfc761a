using Microsoft.Win32.SafeHandles;

namespace Varve.Protocols.File;

/// <summary>How a host file is opened.</summary>
/// <param name="Writable">For writing too.</param>
/// <param name="Direct">Past the page cache.</param>
internal readonly record struct HostFileAccess(bool Writable, bool Direct);

/// <summary>What a name must lead to: each kind has a driver of its own.</summary>
internal enum HostFileKind
{
    /// <summary>A regular file: <c>file</c>.</summary>
    Regular,

    /// <summary>A block or character device: <c>host_device</c>.</summary>
    Device,

    /// <summary>A drive whose medium may be out: <c>host_cdrom</c>.</summary>
    Cdrom,
}

/// <summary>A run of data, or of hole, in a host file.</summary>
/// <param name="IsData">Whether the file system stores something for it.</param>
/// <param name="End">Where it ends: bytes from the start of the file; <see cref="long.MaxValue"/> for a hole without end.</param>
internal readonly record struct HostExtent(bool IsData, long End);

/// <summary>What the <c>file</c> driver needs of an operating system: one open file. Members may be called from many threads.</summary>
/// <remarks>Everything here runs in the caller; which calls may block, and so belong on another thread, the node decides.
/// A failure is a <see cref="BlockException"/> with the errno; an operation the file system does not know answers false.</remarks>
internal abstract class HostFile : IDisposable
{
    public abstract SafeFileHandle Handle { get; }

    /// <summary>What io_uring is given for the file's requests; null where they have to go through the members here.</summary>
    public virtual SafeFileHandle? UringHandle => null;

    public abstract HostFileAccess Access { get; }

    public virtual HostFileKind Kind => HostFileKind.Regular;

    /// <summary>Whether a drive has its disc in; everything else has.</summary>
    public virtual bool HasMedium => true;

    /// <summary>What offsets, lengths and addresses must be multiples of; 1 through the page cache.</summary>
    public abstract int Alignment { get; }

    /// <summary>Bytes, as the file system says now.</summary>
    public abstract long Length { get; }

    /// <summary>Bytes the file takes on the host; null when that is not known.</summary>
    public abstract long? AllocatedSize { get; }

    /// <summary>Reads what can be had without waiting for a device.</summary>
    /// <returns>Bytes read; less than asked where the rest would wait. What lies past the end of the file counts, as zeros.</returns>
    public abstract int ReadCached(Span<byte> buffer, long offset);

    /// <summary>Fills <paramref name="buffer"/>; what lies past the end of the file reads as zeros.</summary>
    public abstract void Read(Span<byte> buffer, long offset);

    /// <summary>Writes all of <paramref name="buffer"/>; the file grows where it has to.</summary>
    public abstract void Write(ReadOnlySpan<byte> buffer, long offset);

    /// <summary>Writes all of <paramref name="buffer"/> and makes it durable, with what is needed to find it.</summary>
    public virtual void WriteDurably(ReadOnlySpan<byte> buffer, long offset)
    {
        Write(buffer, offset);
        Flush();
    }

    /// <summary>Makes completed writes durable.</summary>
    public abstract void Flush();

    /// <summary>Has the host begin to write a range of its page cache to the device: a hint, which a later <see cref="Flush"/> has less to do after.
    /// A failure shows there.</summary>
    public virtual void BeginWriteback(long offset, long length) { }

    /// <summary>Gives the space of a range back; it reads as zeros afterwards. The length stays.</summary>
    public abstract bool TryPunchHole(long offset, long length);

    /// <summary>Says that a range is no longer needed; it reads as anything afterwards. The length stays.</summary>
    public virtual bool TryDiscard(long offset, long length) => TryPunchHole(offset, length);

    /// <summary>Makes a range read as zeros and keeps its space; the file grows to its end.</summary>
    public abstract bool TryZeroRange(long offset, long length);

    /// <summary>Reserves space for a range; the file grows to its end.</summary>
    public abstract bool TryAllocate(long offset, long length);

    /// <summary>The run of data or hole at <paramref name="offset"/>; all data where the file system cannot tell.</summary>
    public abstract HostExtent FindExtent(long offset);

    public abstract void SetLength(long length);

    /// <summary>Copies a range of another file into this one inside the kernel; false where that cannot be done, or not to its end.</summary>
    public virtual bool TryCopyFrom(HostFile source, long sourceOffset, long offset, long length) => false;

    /// <summary>Asks the file system to overwrite in place; only an empty file can be changed. Where that means nothing, nothing happens.</summary>
    public virtual void DisableCopyOnWrite() { }

    /// <summary>Bytes the file system is asked to allocate at once; 0 for its own choice. Setting it is a wish that may not be heard.</summary>
    public virtual uint ExtentSizeHint { get => 0; set { } }

    /// <summary>Takes a shared lock on one byte of this open file, for as long as it is open.</summary>
    /// <returns>0, or the errno. A file that cannot lock answers ENOSYS.</returns>
    public virtual int TryLock(long offset) => Errno.ENOSYS;

    /// <summary>Gives a lock back.</summary>
    public virtual void Unlock(long offset) { }

    /// <summary>Whether another open file, of this process or of another, has a lock on the byte.</summary>
    public virtual bool IsLockedByOther(long offset) => false;

    /// <summary>Who that is, for people; null when it cannot be found out.</summary>
    public virtual string? DescribeLockHolder(long offset) => null;

    /// <summary>The canonical path of the open file, by the file and not by its name; null when it cannot be found out.</summary>
    public abstract string? FindPath();

    /// <summary>Opens the same file again, with an open file description (and so with locks) of its own.</summary>
    /// <exception cref="BlockException"><c>Could not open 'x': ...</c></exception>
    public abstract HostFile Reopen(HostFileAccess access);

    public abstract void Dispose();

    /// <summary>Creates a file, or opens the one that is there as it is, for writing.</summary>
    /// <exception cref="BlockException"><c>Could not create 'x': ...</c>, or not a regular file.</exception>
    public static HostFile Create(string filename, FdSets fdSets)
        => filename.Contains('\0') ? throw BlockException.FromErrno(Errno.EINVAL, "Could not create a file whose name has a NUL in it")
            : OperatingSystem.IsLinux() ? LinuxFile.CreateOrOpen(filename, fdSets) : PortableFile.CreateOrOpen(filename);

    /// <summary>Opens an existing file or device by the best means of this platform.</summary>
    /// <exception cref="BlockException"><c>Could not open 'x': ...</c>, or not of the kind wanted.</exception>
    /// <remarks>A system call would see a name with a NUL in it end there: another file than the one that was allowed.</remarks>
    public static HostFile Open(string filename, HostFileAccess access, FdSets fdSets, HostFileKind kind = HostFileKind.Regular)
        => filename.Contains('\0') ? throw BlockException.FromErrno(Errno.EINVAL, "Could not open a file whose name has a NUL in it")
            : OperatingSystem.IsLinux() ? LinuxFile.OpenExisting(filename, access, fdSets, kind) : PortableFile.OpenExisting(filename, access);
}
