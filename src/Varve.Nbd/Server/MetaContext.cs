using Varve.Bitmaps;

namespace Varve.Nbd.Server;

/// <summary>A kind of block status a client may select.</summary>
internal sealed record MetaContext(uint Id, string Name)
{
    private const string QemuNamespace = "qemu:", BitmapNamespace = "qemu:dirty-bitmap:";
    private const uint FirstBitmapId = 2;

    /// <summary>Holes and zeros: NBD protocol, "Metadata contexts".</summary>
    public static MetaContext BaseAllocation { get; } = new(0, "base:allocation");

    /// <summary>Which layer of the chain decides, 1 for the top: QEMU's docs/interop/nbd.txt.</summary>
    public static MetaContext AllocationDepth { get; } = new(1, "qemu:allocation-depth");

    /// <summary>What has changed, where the context shows that: QEMU's docs/interop/nbd.txt.</summary>
    public DirtyBitmap? Bitmap { get; private init; }

    /// <summary>What an export has to offer.</summary>
    public static IEnumerable<MetaContext> Of(NbdExport export)
    {
        yield return BaseAllocation;
        if (export.OffersAllocationDepth) yield return AllocationDepth;
        for (int i = 0; i < export.Bitmaps.Count; i++)
        {
            yield return new MetaContext(FirstBitmapId + (uint)i, BitmapNamespace + export.Bitmaps[i].Name) { Bitmap = export.Bitmaps[i] };
        }
    }

    /// <summary>The contexts of an export that queries name.</summary>
    /// <param name="export">Decides what there is.</param>
    /// <param name="queries">Names; when listing also namespaces, and none for everything. What names nothing is not an error.</param>
    /// <param name="isListing">LIST_META_CONTEXT, not SET_META_CONTEXT.</param>
    public static List<MetaContext> Find(NbdExport export, IReadOnlyList<string> queries, bool isListing)
        => [.. Of(export).Where(c => (isListing && queries.Count == 0) || queries.Any(q => c.IsNamedBy(q, isListing)))];

    private bool IsNamedBy(string query, bool isListing)
        => query == Name || (isListing && query is "base:" or QemuNamespace or BitmapNamespace && Name.StartsWith(query, StringComparison.Ordinal));
}
