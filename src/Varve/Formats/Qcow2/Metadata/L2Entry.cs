namespace Varve.Formats.Qcow2.Metadata;

/// <summary>What an L2 entry says about its guest cluster.</summary>
internal enum ClusterKind
{
    /// <summary>The backing image shows, or zeros without one.</summary>
    Unallocated,

    /// <summary>Reads as zeros, takes no space.</summary>
    ZeroPlain,

    /// <summary>Reads as zeros; a host cluster is set aside for it.</summary>
    ZeroAllocated,

    Data,

    Compressed,
}

/// <summary>An entry of an L2 table: 64 bits about one guest cluster. qcow2 specification, "L2 table entry".</summary>
internal readonly record struct L2Entry(ulong Raw)
{
    private const ulong Copied = 1UL << 63, CompressedBit = 1UL << 62, ZeroBit = 1;
    private const ulong HostOffsetMask = 0x00FF_FFFF_FFFF_FE00;   // bits 9..55
    private const ulong ReservedMask = 0x3F00_0000_0000_01FE;     // bits 1..8 and 56..61 of a standard descriptor

    public static L2Entry Unallocated => default;

    /// <summary>Bit 63 of L1 and L2 entries: what it points at has a refcount of exactly one.</summary>
    public const ulong CopiedFlag = Copied;

    /// <summary>Reads as zeros, without a host cluster; not in version 2.</summary>
    public static readonly L2Entry Zero = new(ZeroBit);

    /// <summary>A standard cluster whose refcount is exactly one, or a compressed one never: it may be written in place.</summary>
    public bool IsCopied => (Raw & Copied) != 0;

    public bool IsCompressed => (Raw & CompressedBit) != 0;

    /// <summary>The zero flag of a standard cluster.</summary>
    public bool IsZero => (Raw & (CompressedBit | ZeroBit)) == ZeroBit;

    /// <summary>Where a standard cluster lies; <see cref="HostOffset.None"/> when it has no host cluster.</summary>
    public HostOffset Host => new((long)(Raw & HostOffsetMask));

    /// <summary>Whether reserved bits of a standard cluster are set.</summary>
    public bool HasReservedBits => !IsCompressed && (Raw & ReservedMask) != 0;

    public ClusterKind Kind
        => IsCompressed ? ClusterKind.Compressed
            : IsZero ? Host.IsNone ? ClusterKind.ZeroPlain : ClusterKind.ZeroAllocated
            : Host.IsNone && !IsCopied ? ClusterKind.Unallocated : ClusterKind.Data;

    /// <summary>Data in a cluster of its own: written in place from now on.</summary>
    public static L2Entry Standard(HostOffset host) => new(Copied | (ulong)host.Value);

    /// <summary>Zeros, with a cluster of its own kept for later data.</summary>
    public static L2Entry ZeroAt(HostOffset host) => new(Copied | (ulong)host.Value | ZeroBit);

    /// <summary>The same cluster, with or without leave to write it in place.</summary>
    public L2Entry WithCopied() => new(Raw | Copied);

    /// <inheritdoc cref="WithCopied"/>
    public L2Entry WithoutCopied() => new(Raw & ~Copied);

    /// <summary>The same standard cluster, reading as zeros; its host cluster stays set aside.</summary>
    public L2Entry WithZero() => new(Raw | ZeroBit);

    /// <summary>The same entry without the zero flag; a compressed one has none.</summary>
    public L2Entry WithoutZero() => IsCompressed ? this : new(Raw & ~ZeroBit);

    /// <summary>Bits a compressed descriptor has for its host offset: the larger the clusters, the fewer.</summary>
    public static int CompressedOffsetBits(int clusterBits) => Math.Min(62 - (clusterBits - 8), 56);

    /// <summary>The same entry as an image without an external data file means it: only in one is offset 0 a place, said by the flag.</summary>
    public L2Entry WithoutStrayCopied() => IsCompressed || !Host.IsNone ? this : new(Raw & ~Copied);

    /// <summary>A compressed cluster: its bytes begin anywhere and end within a number of 512-byte sectors.</summary>
    public static L2Entry CompressedAt(CompressedExtent extent, int clusterBits)
    {
        int shift = 62 - (clusterBits - 8);
        long sectorCount = ((extent.Host.Value + extent.MaxLength - 1) >> 9) - (extent.Host.Value >> 9);
        return new(CompressedBit | ((ulong)sectorCount << shift) | (ulong)extent.Host.Value);
    }

    /// <summary>Where the bytes of a compressed cluster lie.</summary>
    /// <param name="clusterBits">The image's; it decides how the descriptor is divided.</param>
    public CompressedExtent Compressed(int clusterBits)
    {
        CompressedExtent extent = CompressedAsWritten(clusterBits);
        return extent with { Host = new(extent.Host.Value & 0x00FF_FFFF_FFFF_FFFF) };
    }

    /// <summary>The same with offset bits that small clusters have room for and that must be zero.</summary>
    public CompressedExtent CompressedAsWritten(int clusterBits)
    {
        int shift = 62 - (clusterBits - 8);
        ulong descriptor = Raw & (CompressedBit - 1);
        long host = (long)(descriptor & ((1UL << shift) - 1));
        int sectorCount = (int)(descriptor >> shift) + 1;
        return new(new(host), sectorCount * 512 - (int)(host & 511));
    }
}

/// <summary>The host bytes that hold a compressed cluster; decompression stops when a cluster is full, before the last byte or at it.</summary>
internal readonly record struct CompressedExtent(HostOffset Host, int MaxLength);
