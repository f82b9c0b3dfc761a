using System.Buffers.Binary;
using System.Diagnostics;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;

namespace Varve.Formats.Qcow2;

/// <summary>How a guest range maps: the outcome of a lookup.</summary>
internal enum MappingKind
{
    /// <summary>The slice that knows is not cached: load it and look again.</summary>
    NotCached,

    Unallocated, ZeroPlain, ZeroAllocated, Data, Compressed,

    /// <summary>The entry points where no cluster can be.</summary>
    Corrupt,

    /// <summary>The subclusters of the entry contradict each other.</summary>
    Invalid,

    /// <summary>The data file's cluster is not the guest's own.</summary>
    Misplaced,

    /// <summary>Compressed, in an image whose data lies in a data file.</summary>
    Misfiled,
}

/// <summary>A guest range of equal kind; for data, contiguous in the image file.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Length">Bytes from the guest offset that was looked up, at least 1.</param>
/// <param name="Host">Where that guest offset lies, or would lie once it is written; 0: nowhere. Not cached: where the slice lies.</param>
/// <param name="IsCopied">The clusters belong to the active tables alone: they may be written in place.</param>
/// <param name="Entry">The L2 entry of the first cluster.</param>
internal readonly record struct Mapping(MappingKind Kind, long Length, long Host, bool IsCopied, L2Entry Entry)
{
    /// <summary>Nothing can be read or written there.</summary>
    public bool IsCorrupt => Kind >= MappingKind.Corrupt;
}

// L2 entries: what holds on disk at every instant
//   1. An entry names a cluster only when the cluster's data and its raised refcount are durable. Entries change in memory once the
//      data has been written; a flush of the file between taking copies of dirty slices and writing them makes both durable.
//   2. An L1 entry names an L2 table only when the table's first content is durable: it is written whole before the entry changes
//      in memory, and the same flush covers it.
//   3. Tables that snapshots share (no COPIED flag) are never changed: a write copies them first.

/// <summary>The active L1 table and cached slices of the L2 tables it names.</summary>
/// <remarks>Members need the image's table lock unless they say otherwise.</remarks>
internal sealed partial class L2Cache
{
    private readonly int _clusterBits, _l2Bits, _sliceEntryBits, _subclusterBits;
    private readonly bool _hasSubclusters, _hasDataFile;

    private readonly Action _onChanged;
    private ResidentTable _l1;

    /// <param name="header">The image's shape.</param>
    /// <param name="l1">The active L1 table.</param>
    /// <param name="slices">The cache of L2 tables.</param>
    /// <param name="onChanged">Called when what the image has changes.</param>
    public L2Cache(Qcow2Header header, ResidentTable l1, TableCache slices, Action onChanged)
    {
        _clusterBits = header.ClusterBits;
        _l2Bits = _clusterBits - header.L2EntryBits;
        _sliceEntryBits = int.Log2(slices.SliceSize) - header.L2EntryBits;
        _subclusterBits = _clusterBits - SubclusterMap.CountBits;
        _hasSubclusters = header.HasSubclusters;
        _hasDataFile = header.HasDataFile;
        _l1 = l1;
        _onChanged = onChanged;
        Slices = slices;
    }

    /// <summary>The active L1 table; replaced when it moves.</summary>
    public ResidentTable L1
    {
        get => _l1;
        set
        {
            _l1 = value;
            _onChanged();
        }
    }

    public TableCache Slices { get; }

    /// <summary>Clusters one slice maps.</summary>
    public int ClustersPerSlice => 1 << _sliceEntryBits;

    /// <summary>Guest bytes one L1 entry maps.</summary>
    public long BytesPerTable => 1L << (_clusterBits + _l2Bits);

    public int L1IndexOf(long offset) => (int)(offset >> (_clusterBits + _l2Bits));

    /// <summary>Where, in an L2 table, the slice lies that maps <paramref name="offset"/>.</summary>
    public long SliceOffsetOf(long offset)
        => (((offset >> _clusterBits) & ((1L << _l2Bits) - 1)) >> _sliceEntryBits) * Slices.SliceSize;

    /// <summary>The entry's place in its slice.</summary>
    public int IndexInSlice(long offset) => (int)((offset >> _clusterBits) & ((1L << _sliceEntryBits) - 1));

    /// <summary>The first guest offset behind the slice that maps <paramref name="offset"/>.</summary>
    public long SliceEnd(long offset)
    {
        long bytesPerSlice = 1L << (_clusterBits + _sliceEntryBits);
        return Align.Down(offset, bytesPerSlice) + bytesPerSlice;
    }

    public ExtendedL2Entry Get(TableSlice slice, int index)
        => _hasSubclusters
            ? ExtendedL2Entry.Read(slice.Bytes.AsSpan(index * ExtendedL2Entry.Size), _hasDataFile)
            : ExtendedL2Entry.FromStandard(GetStandard(slice, index));

    public void Set(TableSlice slice, int index, ExtendedL2Entry entry)
    {
        _onChanged();
        if (_hasSubclusters)
        {
            entry.WriteTo(slice.Bytes.AsSpan(index * ExtendedL2Entry.Size));
            slice.MarkDirty(index * ExtendedL2Entry.Size, ExtendedL2Entry.Size);
            return;
        }

        BinaryPrimitives.WriteUInt64BigEndian(slice.Bytes.AsSpan(index * 8), entry.ToStandard().Raw);
        slice.MarkDirty(index * 8, 8);
    }

    private L2Entry GetStandard(TableSlice slice, int index)
    {
        var entry = new L2Entry(BinaryPrimitives.ReadUInt64BigEndian(slice.Bytes.AsSpan(index * 8)));
        return _hasDataFile ? entry : entry.WithoutStrayCopied();
    }

    /// <summary>Maps the longest run of one kind that begins at <paramref name="offset"/>.</summary>
    /// <param name="offset">Guest offset.</param>
    /// <param name="maxLength">Bytes, at least 1.</param>
    /// <param name="held">The slice that an earlier lookup wanted, pinned.</param>
    public Mapping Lookup(long offset, long maxLength, TableSlice? held = null)
    {
        int l1Index = L1IndexOf(offset);
        L1Entry l1 = l1Index < L1.Count ? new L1Entry(L1[l1Index]) : L1Entry.Unallocated;
        if (!l1.IsAllocated)
        {
            long tableEnd = Align.Down(offset, BytesPerTable) + BytesPerTable;
            return new Mapping(MappingKind.Unallocated, Math.Min(maxLength, tableEnd - offset), 0, IsCopied: false, L2Entry.Unallocated);
        }

        if (!Align.Is(l1.Table.Value, 1L << _clusterBits)) return new Mapping(MappingKind.Corrupt, 1, l1.Table.Value, IsCopied: false, default);
        long sliceHost = l1.Table.Value + SliceOffsetOf(offset);
        if (!Slices.TryGet(sliceHost, out TableSlice? slice, held)) return new Mapping(MappingKind.NotCached, 1, sliceHost, IsCopied: false, default);
        Mapping mapping = _hasSubclusters ? LookupSubclusters(slice, offset, maxLength) : LookupIn(slice, offset, maxLength);
        return _hasDataFile ? InDataFile(mapping, offset) : mapping;
    }

    /// <summary>In a data file every cluster lies where the guest sees it, and none is compressed.</summary>
    private static Mapping InDataFile(Mapping mapping, long offset) => mapping.Kind switch
    {
        MappingKind.Compressed => mapping with { Kind = MappingKind.Misfiled },
        MappingKind.Data when mapping.Host != offset => mapping with { Kind = MappingKind.Misplaced },
        _ => mapping,
    };

    private Mapping LookupIn(TableSlice slice, long offset, long maxLength)
    {
        long clusterSize = 1L << _clusterBits, inCluster = offset & (clusterSize - 1);
        int index = IndexInSlice(offset);
        L2Entry first = GetStandard(slice, index);
        MappingKind kind = KindOf(first);
        long host = kind is MappingKind.Data or MappingKind.ZeroAllocated ? first.Host.Value + inCluster : 0;
        long length = clusterSize - inCluster;
        if (kind is not (MappingKind.Corrupt or MappingKind.Compressed))
        {
            for (int next = index + 1; length < maxLength && next < ClustersPerSlice; next++, length += clusterSize)
            {
                if (!Continues(first, GetStandard(slice, next), kind, next - index)) break;
            }
        }

        return new Mapping(kind, Math.Min(length, maxLength), host, first.IsCopied, first);
    }

    private bool Continues(L2Entry first, L2Entry entry, MappingKind kind, int distance)
        => kind is MappingKind.Data or MappingKind.ZeroAllocated
            ? entry.Raw == first.Raw + ((ulong)distance << _clusterBits)   // equal flags, the next host cluster
            : KindOf(entry) == kind;

    private MappingKind KindOf(L2Entry entry)
    {
        ClusterKind kind = entry.Kind;
        if (kind is ClusterKind.Data or ClusterKind.ZeroAllocated && !Align.Is(entry.Host.Value, 1L << _clusterBits)) return MappingKind.Corrupt;
        return MappingOf(kind);
    }

    private static MappingKind MappingOf(ClusterKind kind) => kind switch
    {
        ClusterKind.Unallocated => MappingKind.Unallocated,
        ClusterKind.ZeroPlain => MappingKind.ZeroPlain,
        ClusterKind.ZeroAllocated => MappingKind.ZeroAllocated,
        ClusterKind.Data => MappingKind.Data,
        _ => MappingKind.Compressed,
    };
}
