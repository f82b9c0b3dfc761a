using System.Numerics;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;

namespace Varve.Formats.Qcow2;

/// <summary>Where everything of a new image lies: header, refcount table, refcount blocks, L1 table, LUKS header, then, where preallocated, each
/// L2 table with its data clusters behind it.</summary>
/// <remarks>
/// Refcount blocks must count themselves: their number is the smallest that covers everything, found by repetition. For images whose
/// metadata fits one refcount block this is the reference's layout, byte for byte.
/// </remarks>
internal sealed class Qcow2Layout
{
    public Qcow2Layout(Qcow2CreateOptions options)
    {
        Options = options;
        ClusterSize = options.ClusterSize;
        L2Entries = options.ExtendedL2 ? ClusterSize / ExtendedL2Entry.Size : ClusterSize / 8;
        L1Size = Align.Count(options.Size, (long)L2Entries * ClusterSize);
        if (L1Size * 8 > Qcow2Header.MaxL1Bytes) throw TooLarge();
        long l1Clusters = Align.Count(L1Size * 8, ClusterSize), encryptionClusters = Align.Count(options.Encryption?.HeaderSize ?? 0, ClusterSize);
        DataClusters = options.MapsEverything ? Align.Count(options.Size, ClusterSize) : 0;
        L2Tables = options.MapsEverything ? L1Size : 0;
        long ownDataClusters = HasDataFile ? 0 : DataClusters;

        RefcountTableClusters = 1;
        RefcountBlocks = 1;
        while (true)
        {
            ClusterCount = 1 + RefcountTableClusters + RefcountBlocks + l1Clusters + encryptionClusters + L2Tables + ownDataClusters;
            long blocks = Align.Count(ClusterCount, ClusterSize * 8L / options.RefcountBits);
            long tableClusters = Align.Count(blocks * 8, ClusterSize);
            if (blocks <= RefcountBlocks && tableClusters <= RefcountTableClusters) break;
            (RefcountBlocks, RefcountTableClusters) = (Math.Max(blocks, RefcountBlocks), Math.Max(tableClusters, RefcountTableClusters));
        }

        FirstRefcountBlock = 1 + RefcountTableClusters;
        L1Table = FirstRefcountBlock + RefcountBlocks;
        EncryptionHeader = L1Table + l1Clusters;
        FirstL2Table = EncryptionHeader + encryptionClusters;
    }

    public Qcow2CreateOptions Options { get; }

    public int ClusterSize { get; }

    /// <summary>Clusters an L2 table maps.</summary>
    public int L2Entries { get; }

    /// <summary>Entries of the L1 table.</summary>
    public long L1Size { get; }

    public long RefcountTableClusters { get; }

    public long RefcountBlocks { get; }

    public long L2Tables { get; }

    /// <summary>Clusters that L2 tables name.</summary>
    public long DataClusters { get; }

    /// <summary>Every cluster of the image: all have refcount 1.</summary>
    public long ClusterCount { get; }

    /// <summary>Cluster indices.</summary>
    public long FirstRefcountBlock { get; }

    public long L1Table { get; }

    /// <summary>Where the LUKS header of an image that is to have one lies.</summary>
    public long EncryptionHeader { get; }

    private long FirstL2Table { get; }

    /// <summary>Bytes of the file: the L1 table may end inside its last cluster.</summary>
    public long FileLength => L2Tables > 0 || FirstL2Table > EncryptionHeader ? ClusterCount * ClusterSize : L1Table * ClusterSize + L1Size * 8;

    /// <summary>Refuses what can be measured and not made: its refcount table would be longer than an image may have.</summary>
    public void RefuseTooLarge()
    {
        if (RefcountTableClusters * ClusterSize > Qcow2Header.MaxRefcountTableBytes) throw TooLarge();
    }

    public HostOffset OffsetOf(long cluster) => new(cluster * ClusterSize);

    private bool HasDataFile => Options.DataFile is not null;

    /// <summary>Where a data cluster lies: behind its L2 table, or in a data file where the guest sees it.</summary>
    public HostOffset DataCluster(long l2Index, long index)
        => OffsetOf(HasDataFile ? l2Index * L2Entries + index : L2Table(l2Index) + 1 + index);

    /// <summary>Cluster index of an L2 table; its data clusters follow it.</summary>
    public long L2Table(long index) => FirstL2Table + (HasDataFile ? index : index * (1 + L2Entries));

    /// <summary>How many data clusters an L2 table maps.</summary>
    public int DataClustersOf(long l2Index) => (int)Math.Min(L2Entries, DataClusters - l2Index * L2Entries);

    /// <summary>The header of the finished image, without backing file: extensions and name come with the header cluster.</summary>
    public Qcow2Header Header => new()
    {
        Version = Options.Version,
        ClusterBits = BitOperations.Log2((uint)ClusterSize),
        VirtualSize = Options.Size,
        L1Size = (int)L1Size,
        L1Table = L1Size == 0 ? HostOffset.None : OffsetOf(L1Table),
        RefcountTable = OffsetOf(1),
        CryptMethod = Options.Encryption?.Method ?? 0,
        RefcountTableClusters = (int)RefcountTableClusters,
        RefcountOrder = BitOperations.Log2((uint)Options.RefcountBits),
        HeaderLength = Options.Version == 2 ? Qcow2Header.V2Length : Qcow2Header.LengthWithCompressionType,
        Incompatible = (Options.CompressionType == Qcow2CompressionType.Zlib ? 0 : Qcow2Incompatible.CompressionType)
            | (HasDataFile ? Qcow2Incompatible.DataFile : 0) | (Options.ExtendedL2 ? Qcow2Incompatible.ExtendedL2 : 0),
        Autoclear = Options.DataFileRaw ? Qcow2Autoclear.RawExternalData : 0,
        Compatible = Options.LazyRefcounts ? Qcow2Compatible.LazyRefcounts : 0,
        CompressionType = Options.CompressionType,
    };

    private static BlockException TooLarge()
        => new(BlockErrorKind.TooLarge, $"Could not resize image: Failed to grow the L1 table: {Errno.Text(Errno.EFBIG)}");
}
