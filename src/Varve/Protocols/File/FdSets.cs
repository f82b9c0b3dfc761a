using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Varve.Interop.Linux;

namespace Varve.Protocols.File;

// Descriptor sets
//   1. A set exists while it holds a descriptor or while a duplicate of one of its descriptors is open. It is found by its number
//      as long as it exists, even with nothing left in it, so that adding to it brings a file in use its next access mode.
//   2. What is in a set belongs to it: Add takes the descriptor over, removing closes it. Duplicates live on by themselves.

/// <summary>Sets of open files that a management program passed in: <c>/dev/fdset/N</c> opens a duplicate of one of them.</summary>
/// <remarks>QMP's <c>add-fd</c>, <c>remove-fd</c>, <c>query-fdsets</c>; and the <c>--add-fd</c> option. Thread-safe.</remarks>
internal sealed class FdSets : IDisposable
{
    /// <summary>The directory that names of sets lie in.</summary>
    public const string Prefix = "/dev/fdset/";

    private readonly Lock _lock = new();
    private readonly SortedDictionary<long, Set> _sets = [];

    /// <summary>A set and what it holds.</summary>
    /// <param name="Id">Its number.</param>
    /// <param name="Descriptors">Oldest first.</param>
    internal sealed record SetInfo(long Id, IReadOnlyList<DescriptorInfo> Descriptors);

    /// <summary>A descriptor in a set.</summary>
    /// <param name="Fd">Its number in this process.</param>
    /// <param name="Opaque">What its giver noted about it.</param>
    internal sealed record DescriptorInfo(int Fd, string? Opaque);

    /// <summary>Puts a descriptor into a set and takes it over.</summary>
    /// <param name="descriptor">Closed here when adding fails.</param>
    /// <param name="id">The set, made when it does not exist; null for a new one with the lowest free number.</param>
    /// <param name="opaque">A note for <see cref="Query"/>.</param>
    /// <returns>The set's number and the descriptor's.</returns>
    public (long Id, int Fd) Add(SafeFileHandle descriptor, long? id, string? opaque)
    {
        if (id < 0)
        {
            descriptor.Dispose();
            throw new BlockException(BlockErrorKind.Invalid, "Parameter 'fdset-id' expects a non-negative value");
        }

        lock (_lock)
        {
            long number = id ?? LowestFree();
            if (!_sets.TryGetValue(number, out Set? set)) _sets.Add(number, set = new Set());
            set.Descriptors.Insert(0, (descriptor, opaque));
            return (number, (int)descriptor.DangerousGetHandle());
        }
    }

    /// <summary>Takes a descriptor, or all, out of a set and closes it; open duplicates stay open.</summary>
    /// <exception cref="BlockException"><c>NotFound</c>: no such set, or not in it.</exception>
    public void Remove(long id, long? fd)
    {
        lock (_lock)
        {
            if (!_sets.TryGetValue(id, out Set? set)) throw NotFound(id, fd);
            int removed = set.Descriptors.RemoveAll(d =>
            {
                if (fd is { } wanted && (long)d.Handle.DangerousGetHandle() != wanted) return false;
                d.Handle.Dispose();
                return true;
            });
            if (removed == 0 && fd is not null) throw NotFound(id, fd);
            DropIfUnused(id, set);
        }
    }

    /// <summary>Every set, the highest number first, as the reference lists them.</summary>
    public IReadOnlyList<SetInfo> Query()
    {
        lock (_lock)
        {
            return [.. _sets.Reverse().Select(s => new SetInfo(
                s.Key, [.. s.Value.Descriptors.AsEnumerable().Reverse().Select(d => new DescriptorInfo((int)d.Handle.DangerousGetHandle(), d.Opaque))]))];
        }
    }

    /// <summary>Closes the sets that no open file uses: when the last monitor has gone, nobody can name them any more.</summary>
    public void RemoveUnused()
    {
        lock (_lock)
        {
            foreach ((long id, Set set) in _sets.Where(s => s.Value.Duplicates == 0).ToList())
            {
                foreach ((SafeFileHandle handle, _) in set.Descriptors) handle.Dispose();
                _sets.Remove(id);
            }
        }
    }

    /// <summary>The number in a name like <c>/dev/fdset/3</c>; null for names that lie elsewhere.</summary>
    /// <exception cref="BlockException">What follows the prefix is no number.</exception>
    public static long? ParseName(string filename)
    {
        if (!filename.StartsWith(Prefix, StringComparison.Ordinal)) return null;
        return long.TryParse(filename.AsSpan(Prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out long id)
            ? id
            : throw new BlockException(BlockErrorKind.Invalid, $"Could not parse fdset {filename}");
    }

    /// <summary>Duplicates the descriptor of a set that was opened for the access wanted: reading, or reading and writing.</summary>
    /// <param name="id">The set.</param>
    /// <param name="flags">The access mode sought, with the flags the file is opened with; the newest that fits is taken.</param>
    /// <returns>The duplicate, which shares the open file (and its locks) with the set; <see cref="Returned"/> is called when it has
    /// been closed.</returns>
    /// <exception cref="BlockException"><c>NotFound</c>: no such set; <c>Denied</c>: nothing in it with this access.</exception>
    internal SafeFileHandle Duplicate(long id, OpenFlags flags)
    {
        lock (_lock)
        {
            if (!_sets.TryGetValue(id, out Set? set)) throw CannotDuplicate(id, flags, Errno.ENOENT);
            foreach ((SafeFileHandle handle, _) in set.Descriptors)
            {
                int opened = Libc.Fcntl(handle, FcntlCommand.GetStatusFlags, 0);
                if (opened < 0) throw CannotDuplicate(id, flags, Marshal.GetLastPInvokeError());
                if (((OpenFlags)opened & OpenFlags.AccessMode) != (flags & OpenFlags.AccessMode)) continue;
                int duplicate = Libc.Fcntl(handle, FcntlCommand.DuplicateCloseOnExec, 0);
                if (duplicate < 0) throw CannotDuplicate(id, flags, Marshal.GetLastPInvokeError());
                set.Duplicates++;
                return new SafeFileHandle(duplicate, ownsHandle: true);
            }

            throw CannotDuplicate(id, flags, Errno.EACCES);
        }
    }

    /// <summary>A duplicate was closed.</summary>
    internal void Returned(long id)
    {
        lock (_lock)
        {
            if (!_sets.TryGetValue(id, out Set? set)) return;
            set.Duplicates--;
            DropIfUnused(id, set);
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            foreach (Set set in _sets.Values)
            {
                foreach ((SafeFileHandle handle, _) in set.Descriptors) handle.Dispose();
            }

            _sets.Clear();
        }
    }

    private void DropIfUnused(long id, Set set)
    {
        if (set.Descriptors.Count == 0 && set.Duplicates == 0) _sets.Remove(id);
    }

    private long LowestFree()
    {
        long id = 0;
        while (_sets.ContainsKey(id)) id++;
        return id;
    }

    private static BlockException NotFound(long id, long? fd)
        => new(BlockErrorKind.NotFound, $"File descriptor named 'fdset-id:{id}{(fd is null ? "" : $", fd:{fd}")}' not found");

    private static BlockException CannotDuplicate(long id, OpenFlags flags, int errno)
        => BlockException.FromErrno(errno, $"Could not dup FD for {Prefix}{id} flags {(int)flags:x}");

    private sealed class Set
    {
        public List<(SafeFileHandle Handle, string? Opaque)> Descriptors { get; } = [];

        public int Duplicates { get; set; }
    }
}
