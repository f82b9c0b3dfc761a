using Varve.Formats.Qcow2.Metadata;

namespace Varve.Formats.Qcow2;

/// <content>The tables: refcounts, L1, L2, and what their entries point at.</content>
internal sealed partial class Qcow2Inspection
{
    private const long RefcountTableShare = 2 << 20, L1Share = 2 << 20, L2Share = 8 << 20;

    /// <summary>Data that takes this many times the file's bytes once it is written out is more than compression of real data gives.</summary>
    private const long BombRatio = 200;

    private readonly List<long> _dataClusters = [], _compressedExtents = [];
    private long _expandedBytes;

    private void InspectMetadata(HeaderCluster cluster)
    {
        _map.Add(0, ClusterSize, "header");
        InspectEncryption(cluster);
        InspectBitmaps(cluster);
        InspectSnapshots();
        InspectRefcountTable();
        InspectMapping();
        foreach ((string first, string second, long at) in _map.Overlaps())
        {
            findings.Suspicious("overlap", $"{first} and {second} overlap at host offset 0x{at:x}");
        }

        InspectData();
    }

    /// <summary>Notes a table or a cluster of metadata; false, and a finding, where it cannot be one.</summary>
    private bool Place(long offset, long length, string name)
    {
        if (offset < 0 || !Align.Is(offset, ClusterSize))
        {
            findings.Suspicious("unaligned", $"{name} at host offset 0x{offset:x} is not cluster-aligned");
            return false;
        }

        if (length > 0 && (offset >= source.Length || length > Align.Up(source.Length, ClusterSize) - offset))
        {
            findings.Suspicious("outside-file", $"{name} at host offset 0x{offset:x} reaches outside the file of {source.Length} bytes");
            return false;
        }

        _map.Add(offset, length, name);
        return true;
    }

    private void InspectRefcountTable()
    {
        long entries = _header.RefcountTableClusters * (ClusterSize / 8L);
        if (!Place(_header.RefcountTable.Value, entries * 8, "refcount table")) return;
        foreach (ulong raw in source.ReadTable(_header.RefcountTable.Value, entries, RefcountTableShare))
        {
            var entry = new RefcountTableEntry(raw);
            if ((raw & 511) != 0) findings.Suspicious("reserved-bits", $"refcount table entry 0x{raw:x} has reserved bits set");
            if (entry.IsAllocated) Place(entry.Block.Value, ClusterSize, "refcount block");
        }
    }

    private bool CheckPointer(L1Entry entry, string name)
    {
        if (entry.HasReservedBits) findings.Suspicious("reserved-bits", $"L1 entry 0x{entry.Raw:x} has reserved bits set");
        if (!entry.IsAllocated) return false;
        long offset = entry.Table.Value;
        if (!Align.Is(offset, ClusterSize)) findings.Suspicious("unaligned", $"{name} at host offset 0x{offset:x} is not cluster-aligned");
        else if (offset >= source.Length) findings.Suspicious("outside-file", $"{name} at host offset 0x{offset:x} lies outside the file of {source.Length} bytes");
        else return true;
        return false;
    }

    private void InspectMapping()
    {
        long needed = _header.L1EntriesFor(_header.VirtualSize);
        if (!Place(_header.L1Table.Value, _header.L1Size * 8L, "L1 table")) return;
        if (_header.L1Size > Math.Max(needed * 4, 4096))
        {
            findings.Suspicious("l1-size", $"the L1 table has {_header.L1Size} entries where the disk needs {needed}");
        }

        var tables = new List<long>();
        foreach (ulong raw in source.ReadTable(_header.L1Table.Value, _header.L1Size, L1Share))
        {
            var entry = new L1Entry(raw);
            if (CheckPointer(entry, "L2 table") && Place(entry.Table.Value, ClusterSize, "L2 table")) tables.Add(entry.Table.Value);
        }

        long left = L2Share;
        foreach (long table in tables.Distinct())
        {
            foreach ((ulong raw, ulong bitmap) in ReadL2(table, left)) InspectL2Entry(new L2Entry(raw), bitmap);
            left -= ClusterSize;
        }
    }

    private IEnumerable<(ulong Raw, ulong Bitmap)> ReadL2(long table, long share)
    {
        ulong[] words = source.ReadTable(table, ClusterSize / 8, share);
        if (!Has(Qcow2Incompatible.ExtendedL2))
        {
            foreach (ulong raw in words) yield return (raw, 0);
            yield break;
        }

        for (int i = 0; i + 1 < words.Length; i += 2) yield return (words[i], words[i + 1]);
    }

    private void InspectL2Entry(L2Entry entry, ulong bitmap)
    {
        if (entry.Raw == 0 && bitmap == 0) return;
        if ((bitmap & (bitmap >> 32) & uint.MaxValue) != 0)
        {
            findings.Suspicious("subclusters", $"L2 entry 0x{entry.Raw:x} has subclusters that are both allocated and zero: 0x{bitmap:x}");
        }

        if (entry.IsCompressed)
        {
            CompressedExtent extent = entry.Compressed(_header.ClusterBits);
            _compressedExtents.Add(extent.Host.Value);
            _expandedBytes += ClusterSize;
            if (Has(Qcow2Incompatible.DataFile)) findings.Suspicious("compressed-in-data-file", "has compressed clusters, which an external data file cannot hold");
            if (extent.Host.Value >= source.Length) findings.Suspicious("data-outside-file", $"compressed cluster at host offset {extent.Host} lies outside the file");
            return;
        }

        if (entry.HasReservedBits || (entry.IsZero && Has(Qcow2Incompatible.ExtendedL2)))
        {
            findings.Suspicious("reserved-bits", $"L2 entry 0x{entry.Raw:x} has reserved bits set");
        }

        if (entry.Host.IsNone) return;
        if (!entry.IsZero) _expandedBytes += ClusterSize;
        if (!Align.Is(entry.Host.Value, ClusterSize))
        {
            findings.Suspicious("unaligned", $"data cluster at host offset {entry.Host} is not cluster-aligned");
        }
        else if (!Has(Qcow2Incompatible.DataFile))
        {
            if (entry.Host.Value >= source.Length) findings.Suspicious("data-outside-file", $"data cluster at host offset {entry.Host} lies outside the file");
            _dataClusters.Add(entry.Host.Value);
        }
    }

    /// <summary>Data that lies in metadata, or twice in one place, and data that grows out of proportion when it is copied.</summary>
    private void InspectData()
    {
        _dataClusters.Sort();
        _compressedExtents.Sort();
        CheckRepeats(_dataClusters, "data-twice", "data cluster");
        CheckRepeats(_compressedExtents, "compressed-twice", "compressed cluster");
        foreach (long host in _dataClusters)
        {
            if (_map.Find(host, ClusterSize) is { } name) findings.Suspicious("data-in-metadata", $"data cluster at host offset 0x{host:x} lies in the {name}");
        }

        foreach (long host in _compressedExtents)
        {
            if (_map.Find(host, length: 1) is { } name) findings.Suspicious("data-in-metadata", $"compressed cluster at host offset 0x{host:x} lies in the {name}");
        }

        if (!Has(Qcow2Incompatible.DataFile) && _expandedBytes / BombRatio > source.Length)
        {
            findings.Suspicious("bomb", $"{_expandedBytes} bytes of data come out of a file of {source.Length} bytes");
        }
    }

    private void CheckRepeats(List<long> sorted, string code, string what)
    {
        for (int i = 1; i < sorted.Count; i++)
        {
            if (sorted[i] == sorted[i - 1]) findings.Suspicious(code, $"{what} at host offset 0x{sorted[i]:x} is used for more than one place of the disk");
        }
    }
}
