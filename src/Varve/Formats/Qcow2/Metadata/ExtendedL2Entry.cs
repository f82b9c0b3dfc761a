using System.Buffers.Binary;
using System.Numerics;

namespace Varve.Formats.Qcow2.Metadata;

/// <summary>What an image knows about one guest cluster: where it lies, and the state of its 32 subclusters. On disk 128 bits:
/// 0 u64 descriptor  8 u64 subclusters. qcow2 specification, "Extended L2 Entries".</summary>
/// <remarks>In memory also of images without subclusters: there all 32 of a cluster are alike, and the descriptor's zero flag is
/// their zero bits. The descriptor here never has that flag, which extended entries do not use.</remarks>
internal readonly record struct ExtendedL2Entry(L2Entry Descriptor, SubclusterMap Subclusters)
{
    /// <summary>Bytes of an entry.</summary>
    public const int Size = 16;

    public static ExtendedL2Entry Unallocated => default;

    /// <summary>Reads as zeros, without a host cluster.</summary>
    public static ExtendedL2Entry Zero => new(L2Entry.Unallocated, SubclusterMap.AllZero);

    /// <summary>Where the cluster lies; none for a compressed one.</summary>
    public HostOffset Host => Descriptor.IsCompressed ? HostOffset.None : Descriptor.Host;

    /// <summary>A standard cluster has its place in the file, with or without data.</summary>
    public bool HasHost => !Host.IsNone || (IsCopied && !IsCompressed);

    public bool IsCopied => Descriptor.IsCopied;

    public bool IsCompressed => Descriptor.IsCompressed;

    /// <summary>All of it reads as zeros, and no host cluster is set aside.</summary>
    public bool IsZeroPlain => this == Zero;

    /// <summary>The subclusters say what cannot be: both of something, or data where there is no host cluster.</summary>
    public bool IsInvalid => !IsCompressed && (Subclusters.IsContradictory || (Subclusters.Allocated != 0 && !HasHost));

    /// <summary>The cluster belongs to the active tables alone: data is written to its place.</summary>
    public bool IsOwned => HasHost && IsCopied;

    /// <summary>What the first subcluster with data and the end of the last one are; compressed clusters hold data everywhere.</summary>
    public (int First, int End) DataExtent
        => IsCompressed ? (0, SubclusterMap.Count)
            : (BitOperations.TrailingZeroCount(Subclusters.Allocated), SubclusterMap.Count - BitOperations.LeadingZeroCount(Subclusters.Allocated));

    public static ExtendedL2Entry Read(ReadOnlySpan<byte> bytes, bool hasDataFile)
    {
        var descriptor = new L2Entry(BinaryPrimitives.ReadUInt64BigEndian(bytes));
        if (!hasDataFile) descriptor = descriptor.WithoutStrayCopied();
        return descriptor.IsCompressed
            ? new(descriptor, SubclusterMap.None)       // the map is not used there
            : new(descriptor.WithoutZero(), new(BinaryPrimitives.ReadUInt64BigEndian(bytes[8..])));
    }

    public void WriteTo(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt64BigEndian(bytes, Descriptor.Raw);
        BinaryPrimitives.WriteUInt64BigEndian(bytes[8..], Subclusters.Raw);
    }

    /// <summary>The same of an image without subclusters.</summary>
    public static ExtendedL2Entry FromStandard(L2Entry entry) => entry.Kind == ClusterKind.ZeroPlain ? Zero : new(entry.WithoutZero(), entry.Kind switch
    {
        ClusterKind.Data => SubclusterMap.AllAllocated,
        ClusterKind.ZeroAllocated => SubclusterMap.AllZero,
        _ => SubclusterMap.None,
    });

    /// <summary>The 64 bits of an image without subclusters.</summary>
    public L2Entry ToStandard() => Subclusters.Zero != 0 ? Descriptor.WithZero() : Descriptor;

    /// <summary>The same place, reading as zeros everywhere.</summary>
    public ExtendedL2Entry WithZero() => this with { Subclusters = SubclusterMap.AllZero };

    /// <summary>What one subcluster is. The entry is not invalid.</summary>
    public ClusterKind KindOf(int subcluster)
    {
        if (IsCompressed) return ClusterKind.Compressed;
        uint bit = 1u << subcluster;
        if ((Subclusters.Allocated & bit) != 0) return ClusterKind.Data;
        if ((Subclusters.Zero & bit) == 0) return ClusterKind.Unallocated;
        return HasHost ? ClusterKind.ZeroAllocated : ClusterKind.ZeroPlain;
    }

    /// <summary>Whether each of some subclusters holds data in a place of its own.</summary>
    public bool IsData(int first, int end)
        => !IsCompressed && (Subclusters.Allocated & SubclusterMap.Bits(first, end)) == SubclusterMap.Bits(first, end);
}
