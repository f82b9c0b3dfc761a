namespace Varve.Formats.Qcow2;

/// <summary>What kind of metadata a host cluster holds; the names are those of corruption reports.</summary>
internal enum MetadataKind : byte
{
    MainHeader, ActiveL1, ActiveL2, RefcountBlock, RefcountTable, SnapshotTable, InactiveL1, InactiveL2, BitmapDirectory,
}

/// <summary>Where the image's metadata lies, so that no write goes there by mistake (<c>overlap-check</c>). Needs the table lock.</summary>
/// <remarks>The guard against images whose refcounts or L2 entries lie: a cluster handed out or linked twice is found before it is
/// overwritten. Bounded by the sizes of the tables, which the header's limits bound.</remarks>
internal sealed class MetadataMap(int clusterBits, OverlapChecks checks)
{
    private readonly Dictionary<long, MetadataKind> _clusters = [];

    public void Add(long host, long length, MetadataKind kind)
    {
        if (length == 0 || !checks.Includes(kind)) return;
        for (long cluster = host >> clusterBits; cluster <= (host + length - 1) >> clusterBits; cluster++) _clusters[cluster] = kind;
    }

    public void Remove(long host, long length)
    {
        if (length == 0) return;
        for (long cluster = host >> clusterBits; cluster <= (host + length - 1) >> clusterBits; cluster++) _clusters.Remove(cluster);
    }

    /// <summary>The first metadata that a write would hit; null when none.</summary>
    public MetadataKind? FindOverlap(long host, long length)
    {
        if (_clusters.Count == 0) return null;
        for (long cluster = host >> clusterBits; cluster <= (host + length - 1) >> clusterBits; cluster++)
        {
            if (_clusters.TryGetValue(cluster, out MetadataKind kind)) return kind;
        }

        return null;
    }

    /// <summary>The name a corruption report uses.</summary>
    public static string NameOf(MetadataKind kind) => kind switch
    {
        MetadataKind.MainHeader => "qcow2_header",
        MetadataKind.ActiveL1 => "active L1 table",
        MetadataKind.ActiveL2 => "active L2 table",
        MetadataKind.RefcountBlock => "refcount block",
        MetadataKind.RefcountTable => "refcount table",
        MetadataKind.SnapshotTable => "snapshot table",
        MetadataKind.InactiveL1 => "inactive L1 table",
        MetadataKind.InactiveL2 => "inactive L2 table",
        _ => "bitmap directory",
    };
}

/// <summary>Which kinds of metadata are guarded.</summary>
internal readonly record struct OverlapChecks(int Mask)
{
    private const int ConstantMask = 1 << (int)MetadataKind.MainHeader | 1 << (int)MetadataKind.ActiveL1 | 1 << (int)MetadataKind.RefcountTable
        | 1 << (int)MetadataKind.SnapshotTable | 1 << (int)MetadataKind.BitmapDirectory;

    public static readonly OverlapChecks None = new(0);

    /// <summary>Metadata whose place never changes while nothing is created or resized.</summary>
    public static readonly OverlapChecks Constant = new(ConstantMask);

    /// <summary>Everything that can be known without reading more: the default.</summary>
    public static readonly OverlapChecks Cached = new(
        ConstantMask | 1 << (int)MetadataKind.ActiveL2 | 1 << (int)MetadataKind.RefcountBlock | 1 << (int)MetadataKind.InactiveL1);

    public static readonly OverlapChecks All = new(Cached.Mask | 1 << (int)MetadataKind.InactiveL2);

    public bool Includes(MetadataKind kind) => (Mask & (1 << (int)kind)) != 0;

    public OverlapChecks With(MetadataKind kind, bool included)
        => new(included ? Mask | (1 << (int)kind) : Mask & ~(1 << (int)kind));
}
