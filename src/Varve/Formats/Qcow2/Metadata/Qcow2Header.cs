using System.Buffers.Binary;

namespace Varve.Formats.Qcow2.Metadata;

/// <summary>The fixed part of the file header, versions 2 and 3; big-endian. qcow2 specification, "Header".</summary>
/// <remarks>
/// All of it lies in the file's first 512 bytes, so a changed header is one sector: after a power loss it is the old or the new one.
/// Header extensions and the backing file name follow it and are not part of it.
/// </remarks>
internal readonly record struct Qcow2Header
{
    public const uint Magic = 0x5146_49FB;      // "QFI\xFB"
    public const int MinClusterBits = 9;
    public const int MaxClusterBits = 21;                                   // 2 MiB: QEMU's limit, and so ours
    public const int V2Length = 72, V3Length = 104, LengthWithCompressionType = 112;
    public const int MaxRefcountOrder = 6;
    public const int MaxBackingFileSize = 1023;
    public const int MaxSnapshotCount = 65536;
    public const int MaxL1Bytes = 32 << 20;
    public const int MaxRefcountTableBytes = 8 << 20;

    private static class At
    {
        public const int Magic = 0, Version = 4, BackingFileOffset = 8, BackingFileSize = 16, ClusterBits = 20, Size = 24,
            CryptMethod = 32, L1Size = 36, L1TableOffset = 40, RefcountTableOffset = 48, RefcountTableClusters = 56,
            SnapshotCount = 60, SnapshotsOffset = 64,
            Incompatible = 72, Compatible = 80, Autoclear = 88, RefcountOrder = 96, HeaderLength = 100, CompressionType = 104;
    }

    /// <summary>2 or 3.</summary>
    public required int Version { get; init; }

    /// <summary>Where the backing file name lies; <see cref="HostOffset.None"/>: the image has no backing file.</summary>
    public HostOffset BackingFile { get; init; }

    /// <summary>Bytes of the backing file name.</summary>
    public int BackingFileSize { get; init; }

    public required int ClusterBits { get; init; }

    /// <summary>Bytes of the virtual disk.</summary>
    public required long VirtualSize { get; init; }

    /// <summary>0 none, 1 AES, 2 LUKS.</summary>
    public uint CryptMethod { get; init; }

    /// <summary>Entries of the active L1 table.</summary>
    public required int L1Size { get; init; }

    public required HostOffset L1Table { get; init; }

    public required HostOffset RefcountTable { get; init; }

    public required int RefcountTableClusters { get; init; }

    public int SnapshotCount { get; init; }

    public HostOffset SnapshotTable { get; init; }

    public Qcow2Incompatible Incompatible { get; init; }

    public Qcow2Compatible Compatible { get; init; }

    public Qcow2Autoclear Autoclear { get; init; }

    /// <summary>Refcounts are <c>1 &lt;&lt; RefcountOrder</c> bits wide; always 4 in version 2.</summary>
    public required int RefcountOrder { get; init; }

    /// <summary>Bytes of the fixed part; extensions begin here.</summary>
    public required int HeaderLength { get; init; }

    public Qcow2CompressionType CompressionType { get; init; }

    public int ClusterSize => 1 << ClusterBits;

    public int RefcountBits => 1 << RefcountOrder;

    /// <summary>Guest data lies in another file.</summary>
    public bool HasDataFile => (Incompatible & Qcow2Incompatible.DataFile) != 0;

    /// <summary>The external data file reads as a raw image of the disk.</summary>
    public bool IsDataFileRaw => HasDataFile && (Autoclear & Qcow2Autoclear.RawExternalData) != 0;

    /// <summary>L2 entries are <see cref="ExtendedL2Entry"/> on disk.</summary>
    public bool HasSubclusters => (Incompatible & Qcow2Incompatible.ExtendedL2) != 0;

    /// <summary>Bytes of an L2 entry, as a power of two.</summary>
    public int L2EntryBits => HasSubclusters ? 4 : 3;

    /// <summary>How many clusters one L2 table maps.</summary>
    public int L2Entries => ClusterSize >> L2EntryBits;

    /// <summary>The unit in which guest data is allocated and zeroed: a cluster, where there are no subclusters.</summary>
    public int SubclusterSize => HasSubclusters ? ClusterSize >> SubclusterMap.CountBits : ClusterSize;

    /// <summary>The L1 entries a virtual disk of <paramref name="virtualSize"/> bytes needs.</summary>
    public long L1EntriesFor(long virtualSize)
    {
        long perTable = (long)L2Entries << ClusterBits;
        return virtualSize / perTable + (virtualSize % perTable != 0 ? 1 : 0);
    }

    /// <summary>Whether a file begins as a qcow2 image does.</summary>
    public static bool IsMagic(ReadOnlySpan<byte> file) => file.Length >= 8 && BinaryPrimitives.ReadUInt32BigEndian(file) == Magic;

    /// <summary>Reads and checks the fixed part. Feature bits we do not support are the caller's to judge.</summary>
    /// <param name="file">The file's first bytes: 112 or more, or all of a shorter file.</param>
    /// <param name="header">The header, when null is returned.</param>
    /// <returns>Null, or why this is no header we can use.</returns>
    public static FormatError? TryRead(ReadOnlySpan<byte> file, out Qcow2Header header)
    {
        header = default;
        if (!IsMagic(file)) return FormatError.Invalid("Image is not in qcow2 format");
        uint version = U32(file, At.Version);
        if (version is < 2 or > 3) return FormatError.Unsupported($"Unsupported qcow2 version {version}");
        if (file.Length < (version == 2 ? V2Length : V3Length)) return FormatError.Invalid("Image is not in qcow2 format");

        uint clusterBits = U32(file, At.ClusterBits);
        if (clusterBits is < MinClusterBits or > MaxClusterBits) return FormatError.Invalid($"Unsupported cluster size: 2^{clusterBits}");
        uint length = version == 2 ? V2Length : U32(file, At.HeaderLength);
        if (version == 3 && length < V3Length) return FormatError.Invalid("qcow2 header too short");
        if (length > 1u << (int)clusterBits) return FormatError.Invalid("qcow2 header exceeds cluster size");
        uint refcountOrder = version == 2 ? 4 : U32(file, At.RefcountOrder);
        if (refcountOrder > MaxRefcountOrder) return FormatError.Invalid("Reference count entry width too large; may not exceed 64 bits");

        ulong backingFile = U64(file, At.BackingFileOffset);
        uint backingFileSize = U32(file, At.BackingFileSize);
        if (backingFile > 1ul << (int)clusterBits) return FormatError.Invalid("Invalid backing file offset");
        bool isV3 = version == 3;
        byte compression = isV3 && length > At.CompressionType && file.Length > At.CompressionType ? file[At.CompressionType] : (byte)0;

        header = new Qcow2Header
        {
            Version = (int)version,
            BackingFile = new((long)backingFile),
            BackingFileSize = backingFile == 0 ? 0 : (int)Math.Min(backingFileSize, int.MaxValue),
            ClusterBits = (int)clusterBits,
            VirtualSize = (long)U64(file, At.Size),
            CryptMethod = U32(file, At.CryptMethod),
            L1Size = (int)Math.Min(U32(file, At.L1Size), int.MaxValue),
            L1Table = new((long)U64(file, At.L1TableOffset)),
            RefcountTable = new((long)U64(file, At.RefcountTableOffset)),
            RefcountTableClusters = (int)Math.Min(U32(file, At.RefcountTableClusters), int.MaxValue),
            SnapshotCount = (int)Math.Min(U32(file, At.SnapshotCount), int.MaxValue),
            SnapshotTable = new((long)U64(file, At.SnapshotsOffset)),
            Incompatible = isV3 ? (Qcow2Incompatible)U64(file, At.Incompatible) : 0,
            Compatible = isV3 ? (Qcow2Compatible)U64(file, At.Compatible) : 0,
            Autoclear = isV3 ? (Qcow2Autoclear)U64(file, At.Autoclear) : 0,
            RefcountOrder = (int)refcountOrder,
            HeaderLength = (int)length,
            CompressionType = (Qcow2CompressionType)compression,
        };
        return null;
    }

    /// <summary>Checks what the header says about tables and sizes, after its feature bits have been accepted.</summary>
    /// <returns>Null, or the first contradiction.</returns>
    /// <param name="forCheck">Leave the snapshot table to a check, which may repair it.</param>
    public FormatError? CheckLimits(bool forCheck = false)
    {
        if (BackingFileSize > Math.Min(MaxBackingFileSize, ClusterSize - BackingFile.Value))
        {
            return FormatError.Invalid("Backing file name too long");
        }

        if (CheckCompressionType() is { } wrongType) return wrongType;
        if (SubclusterSize < Align.SectorSize) return FormatError.Invalid($"Unsupported subcluster size: {SubclusterSize}");
        if (CryptMethod > 2) return FormatError.Invalid($"Unsupported encryption method {CryptMethod}");
        if ((ulong)VirtualSize > long.MaxValue >> 1) return FormatError.TooLarge("Image is too big");
        if (RefcountTableClusters > MaxRefcountTableBytes >> ClusterBits) return FormatError.Invalid("Reference count table too large");
        if (!IsTableAt(RefcountTable, RefcountTableClusters * (long)ClusterSize))
        {
            return FormatError.Invalid("Reference count table offset invalid");
        }

        if (!forCheck && SnapshotCount > MaxSnapshotCount) return FormatError.TooLarge("Snapshot table too large");
        if (!forCheck && !IsSnapshotTableValid) return FormatError.Invalid("Snapshot table offset invalid");
        if (L1Size > MaxL1Bytes / 8) return FormatError.TooLarge("Active L1 table too large");
        if (!IsTableAt(L1Table, L1Size * 8L)) return FormatError.Invalid("Active L1 table offset invalid");
        if (L1EntriesFor(VirtualSize) > int.MaxValue) return FormatError.TooLarge("Image is too big");
        return L1Size < L1EntriesFor(VirtualSize) ? FormatError.Invalid("L1 table is too small") : null;
    }

    /// <summary>Writes the fixed part, <see cref="HeaderLength"/> bytes of which we know the first 112 at most; others stay.</summary>
    /// <param name="file">At least 112 bytes, or 72 or 104 where the header is that short.</param>
    public void WriteTo(Span<byte> file)
    {
        BinaryPrimitives.WriteUInt32BigEndian(file, Magic);
        BinaryPrimitives.WriteUInt32BigEndian(file[At.Version..], (uint)Version);
        BinaryPrimitives.WriteInt64BigEndian(file[At.BackingFileOffset..], BackingFile.Value);
        BinaryPrimitives.WriteInt32BigEndian(file[At.BackingFileSize..], BackingFileSize);
        BinaryPrimitives.WriteInt32BigEndian(file[At.ClusterBits..], ClusterBits);
        BinaryPrimitives.WriteInt64BigEndian(file[At.Size..], VirtualSize);
        BinaryPrimitives.WriteUInt32BigEndian(file[At.CryptMethod..], CryptMethod);
        BinaryPrimitives.WriteInt32BigEndian(file[At.L1Size..], L1Size);
        BinaryPrimitives.WriteInt64BigEndian(file[At.L1TableOffset..], L1Table.Value);
        BinaryPrimitives.WriteInt64BigEndian(file[At.RefcountTableOffset..], RefcountTable.Value);
        BinaryPrimitives.WriteInt32BigEndian(file[At.RefcountTableClusters..], RefcountTableClusters);
        BinaryPrimitives.WriteInt32BigEndian(file[At.SnapshotCount..], SnapshotCount);
        BinaryPrimitives.WriteInt64BigEndian(file[At.SnapshotsOffset..], SnapshotTable.Value);
        if (Version == 2) return;
        BinaryPrimitives.WriteUInt64BigEndian(file[At.Incompatible..], (ulong)Incompatible);
        BinaryPrimitives.WriteUInt64BigEndian(file[At.Compatible..], (ulong)Compatible);
        BinaryPrimitives.WriteUInt64BigEndian(file[At.Autoclear..], (ulong)Autoclear);
        BinaryPrimitives.WriteInt32BigEndian(file[At.RefcountOrder..], RefcountOrder);
        BinaryPrimitives.WriteInt32BigEndian(file[At.HeaderLength..], HeaderLength);
        if (HeaderLength > At.CompressionType) file[At.CompressionType] = (byte)CompressionType;
    }

    private FormatError? CheckCompressionType()
    {
        bool bit = (Incompatible & Qcow2Incompatible.CompressionType) != 0;
        if (bit && CompressionType == Qcow2CompressionType.Zlib)
        {
            return FormatError.Invalid("qcow2: Compression type incompatible feature bit must not be set");
        }

        if (!bit && CompressionType != Qcow2CompressionType.Zlib)
        {
            return FormatError.Invalid("qcow2: Compression type incompatible feature bit must be set");
        }

        return CompressionType > Qcow2CompressionType.Zstd
            ? FormatError.Unsupported($"qcow2: unknown compression type: {(byte)CompressionType}")
            : null;
    }

    /// <summary>Whether the snapshot table lies where one can.</summary>
    public bool IsSnapshotTableValid => IsTableAt(SnapshotTable, SnapshotCount * (long)SnapshotEntry.FixedSize);

    private bool IsTableAt(HostOffset table, long bytes)
        => table.Value >= 0 && table.Value <= long.MaxValue - bytes && Align.Is(table.Value, ClusterSize);

    private static uint U32(ReadOnlySpan<byte> file, int at) => BinaryPrimitives.ReadUInt32BigEndian(file[at..]);

    private static ulong U64(ReadOnlySpan<byte> file, int at) => BinaryPrimitives.ReadUInt64BigEndian(file[at..]);
}
