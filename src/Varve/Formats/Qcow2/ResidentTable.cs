using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Varve.IO;

namespace Varve.Formats.Qcow2;

/// <summary>A table that is held in memory whole: the active L1 table or the refcount table. The image's table lock guards it.</summary>
/// <remarks>
/// Changed entries are written in whole 512-byte sectors, so that a torn write leaves each entry old or new. The zeros at a table's end take no
/// memory: a refcount table is a cluster at least, of which most images use an entry or two.
/// </remarks>
internal sealed class ResidentTable
{
    private const int SectorBytes = 512, EntriesPerSector = SectorBytes / 8;
    private readonly SortedSet<int> _dirtySectors = [];
    private ulong[] _entries;   // those behind its end are zero

    private ResidentTable(long host, ulong[] entries, int count) => (Host, _entries, Count) = (host, entries, count);

    public ResidentTable(long host, ulong[] entries) : this(host, entries, entries.Length) { }

    /// <summary>Where the table lies in the image file.</summary>
    public long Host { get; }

    public int Count { get; }

    public bool IsDirty => _dirtySectors.Count > 0;

    public ulong this[int index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)Count);
            return index < _entries.Length ? _entries[index] : 0;
        }

        set
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)Count);
            if (index >= _entries.Length) Array.Resize(ref _entries, Math.Min(Count, Math.Max(2 * _entries.Length, index + EntriesPerSector)));
            _entries[index] = value;
            _dirtySectors.Add(index / EntriesPerSector);
        }
    }

    /// <summary>Turns bytes read from the disk into a table.</summary>
    public static ResidentTable FromDisk(long host, ReadOnlySpan<byte> bytes, int count)
    {
        ReadOnlySpan<ulong> disk = MemoryMarshal.Cast<byte, ulong>(bytes)[..count];
        ulong[] entries = disk[..(disk.LastIndexOfAnyExcept(0UL) + 1)].ToArray();
        if (BitConverter.IsLittleEndian) BinaryPrimitives.ReverseEndianness(entries, entries);
        return new ResidentTable(host, entries, count);
    }

    /// <summary>A table of another size or place with the same first entries; nothing of it is on the disk yet.</summary>
    public ResidentTable MovedTo(long newHost, int newCount)
        => new(newHost, _entries.AsSpan(0, Math.Min(_entries.Length, newCount)).ToArray(), newCount);

    /// <summary>All entries as the disk holds them.</summary>
    public void CopyTo(Span<byte> bytes)
    {
        for (int i = 0; i < Count; i++) BinaryPrimitives.WriteUInt64BigEndian(bytes[(i * 8)..], this[i]);
    }

    /// <summary>The whole table was written.</summary>
    public void MarkClean() => _dirtySectors.Clear();

    /// <summary>Takes copies of the dirty sectors, neighbours together, and marks them clean.</summary>
    public void TakeDirty(List<TableWrite> writes)
    {
        int first = -1, end = -1;
        foreach (int sector in _dirtySectors)
        {
            if (sector != end && first >= 0) writes.Add(Copy(first, end));
            if (sector != end) first = sector;
            end = sector + 1;
        }

        if (first >= 0) writes.Add(Copy(first, end));
        _dirtySectors.Clear();
    }

    /// <summary>A copy did not reach the disk for sure: its sectors are dirty again.</summary>
    public void PutBack(TableWrite write)
    {
        int first = (int)((write.Host - Host) / SectorBytes), end = first + (int)Align.Count(write.Data.Memory.Length, SectorBytes);
        for (int sector = first; sector < end; sector++) _dirtySectors.Add(sector);
    }

    private TableWrite Copy(int firstSector, int endSector)
    {
        int first = firstSector * EntriesPerSector, end = Math.Min(endSector * EntriesPerSector, Count);
        IOBuffer data = IOBuffer.Rent((end - first) * 8);
        for (int i = first; i < end; i++) BinaryPrimitives.WriteUInt64BigEndian(data.Span[((i - first) * 8)..], this[i]);
        return new TableWrite(Host + first * 8L, data, Slice: null, Table: this);
    }
}

/// <summary>A copy of dirty table bytes on its way to the disk, and where it came from.</summary>
internal readonly record struct TableWrite(long Host, IOBuffer Data, TableSlice? Slice, ResidentTable? Table);
