namespace Varve.Formats.Qcow2.Metadata;

/// <summary>An entry of a bitmap table: where a cluster of bits lies. qcow2 specification, "Bitmap table".</summary>
internal readonly record struct BitmapTableEntry(ulong Raw)
{
    private const ulong HostOffsetMask = 0x00FF_FFFF_FFFF_FE00;   // bits 9..55
    private const ulong AllOnesBit = 1, ReservedMask = 0xFF00_0000_0000_01FE;

    /// <summary>No cluster: the bits are zero.</summary>
    public static BitmapTableEntry Zeros => default;

    public HostOffset Host => new((long)(Raw & HostOffsetMask));

    /// <summary>No cluster: the bits are one.</summary>
    public bool IsAllOnes => Host.IsNone && (Raw & AllOnesBit) != 0;

    /// <summary>Whether the entry is one that may be.</summary>
    public bool IsValid(int clusterSize)
        => (Raw & ReservedMask) == 0 && (Host.IsNone || ((Raw & AllOnesBit) == 0 && Align.Is(Host.Value, clusterSize)));

    public static BitmapTableEntry Of(HostOffset host) => new((ulong)host.Value);
}
