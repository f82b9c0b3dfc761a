using Varve.Graph;

namespace Varve.Bitmaps;

/// <summary>What management does with the dirty bitmaps of nodes (<c>block-dirty-bitmap-*</c>, <c>img bitmap</c>). Needs the control lock.</summary>
internal static class BitmapOperations
{
    private const int MinDefaultGranularity = 4096, MaxDefaultGranularity = 65536;

    /// <summary>What a bitmap may be going through that forbids to use it.</summary>
    [Flags]
    private enum Refuse { Busy = 1, ReadOnly = 2, Inconsistent = 4, All = Busy | ReadOnly | Inconsistent }

    /// <summary>A bitmap that a merge reads: of the target's node or of another.</summary>
    internal readonly record struct Source(BlockNode Node, string Name);

    /// <summary>Begins to record what changes on a node.</summary>
    /// <param name="node">Whose writes are recorded.</param>
    /// <param name="name">1 to 1023 bytes, unique on the node.</param>
    /// <param name="granularity">Bytes a bit stands for; null: the cluster size, within 4 KiB and 64 KiB.</param>
    /// <param name="persistent">Stored in the image when it is closed.</param>
    /// <param name="disabled">Records nothing until it is enabled.</param>
    /// <param name="cancellationToken">Ends it before anything has changed.</param>
    public static async ValueTask<DirtyBitmap> AddAsync(
        BlockNode node, string name, long? granularity, bool persistent, bool disabled, CancellationToken cancellationToken = default)
    {
        if (name.Length == 0) throw Invalid("Bitmap name cannot be empty");
        long bytes = granularity ?? DefaultGranularity(node);
        if (bytes < 512 || !long.IsPow2(bytes)) throw Invalid("Granularity must be power of 2 and at least 512");
        if (persistent) await node.CheckNewPersistentBitmapAsync(name, bytes, cancellationToken).ConfigureAwait(false);
        if (node.Bitmaps.Find(name) is not null) throw Invalid($"Bitmap already exists: {name}");
        if (System.Text.Encoding.UTF8.GetByteCount(name) > DirtyBitmap.MaxNameLength) throw Invalid($"Bitmap name too long: {name}");
        if (long.Log2(bytes) > DirtyBitmap.MaxGranularityBits) throw Invalid($"Granularity may not be larger than {1L << DirtyBitmap.MaxGranularityBits}");
        var bitmap = new DirtyBitmap(node.Length, bytes, name) { IsPersistent = persistent, IsEnabled = !disabled };
        node.Bitmaps.Add(bitmap);
        return bitmap;
    }

    /// <summary>Ends a bitmap, in the image too where it is stored there. An inconsistent one may be removed.</summary>
    public static async ValueTask RemoveAsync(BlockNode node, string name, CancellationToken cancellationToken = default)
    {
        DirtyBitmap bitmap = FindRemovable(node, name);
        if (bitmap.IsPersistent) await node.RemovePersistentBitmapAsync(name, cancellationToken).ConfigureAwait(false);
        node.Bitmaps.Remove(bitmap);
    }

    /// <summary>A bitmap that may be removed.</summary>
    public static DirtyBitmap FindRemovable(BlockNode node, string name) => Find(node, name, Refuse.Busy | Refuse.ReadOnly);

    /// <summary>Unmarks everything.</summary>
    public static async ValueTask ClearAsync(BlockNode node, string name, CancellationToken cancellationToken = default)
        => (await FindForChangeAsync(node, name, cancellationToken).ConfigureAwait(false)).Clear();

    /// <summary>Begins, or goes on, to record.</summary>
    public static ValueTask EnableAsync(BlockNode node, string name, CancellationToken cancellationToken = default)
        => SetEnabledAsync(node, name, true, cancellationToken);

    /// <summary>Stops recording; what is marked stays.</summary>
    public static ValueTask DisableAsync(BlockNode node, string name, CancellationToken cancellationToken = default)
        => SetEnabledAsync(node, name, false, cancellationToken);

    /// <summary>Marks in one bitmap what others have marked. All or nothing.</summary>
    public static async ValueTask MergeAsync(
        BlockNode node, string target, IReadOnlyList<Source> sources, CancellationToken cancellationToken = default)
    {
        DirtyBitmap into = Find(node, target, Refuse.All);
        var merged = new DirtyBitmap(into.Length, into.Granularity);
        foreach (Source source in sources)
        {
            DirtyBitmap from = Find(source.Node, source.Name, Refuse.Inconsistent);
            if (from.Length != into.Length)
            {
                throw Invalid(
                    $"Bitmaps are of different sizes (destination size is {into.Length}, source size is {from.Length}) and can't be merged");
            }

            merged.Merge(from);
        }

        if (into.IsPersistent) await node.BeforeBitmapChangeAsync(cancellationToken).ConfigureAwait(false);
        into.Merge(merged);
    }

    /// <summary>A bitmap by name, whatever its state.</summary>
    /// <exception cref="BlockException"><c>NotFound</c>.</exception>
    public static DirtyBitmap Find(BlockNode node, string name)
        => node.Bitmaps.Find(name) ?? throw new BlockException(BlockErrorKind.NotFound, $"Dirty bitmap '{name}' not found") { NodeName = node.NodeName };

    /// <summary>The granularity of a bitmap for which none is asked.</summary>
    public static long DefaultGranularity(BlockNode node)
        => node.ClusterSize > 0 ? Math.Clamp(node.ClusterSize, MinDefaultGranularity, MaxDefaultGranularity) : MaxDefaultGranularity;

    /// <summary>Refuses a bitmap that something uses, that may not change or whose bits are unknown.</summary>
    public static void RequireUsable(BlockNode node, DirtyBitmap bitmap) => Require(node, bitmap, Refuse.All);

    /// <summary>Refuses a bitmap that something uses or whose bits are unknown; one that may not change can still be read.</summary>
    public static void RequireReadable(BlockNode node, DirtyBitmap bitmap) => Require(node, bitmap, Refuse.Busy | Refuse.Inconsistent);

    private static async ValueTask SetEnabledAsync(BlockNode node, string name, bool enabled, CancellationToken cancellationToken)
    {
        (await FindForChangeAsync(node, name, cancellationToken).ConfigureAwait(false)).IsEnabled = enabled;
        node.Bitmaps.OnChanged();
    }

    private static async ValueTask<DirtyBitmap> FindForChangeAsync(BlockNode node, string name, CancellationToken cancellationToken)
    {
        DirtyBitmap bitmap = Find(node, name, Refuse.All);
        if (bitmap.IsPersistent) await node.BeforeBitmapChangeAsync(cancellationToken).ConfigureAwait(false);
        return bitmap;
    }

    private static DirtyBitmap Find(BlockNode node, string name, Refuse refuse)
    {
        DirtyBitmap bitmap = Find(node, name);
        Require(node, bitmap, refuse);
        return bitmap;
    }

    private static void Require(BlockNode node, DirtyBitmap bitmap, Refuse refuse)
    {
        string name = bitmap.Name!;
        string? refusal = (refuse & Refuse.Busy) != 0 && bitmap.IsBusy ? $"Bitmap '{name}' is currently in use by another operation and cannot be used"
            : (refuse & Refuse.ReadOnly) != 0 && bitmap.IsReadOnly ? $"Bitmap '{name}' is readonly and cannot be modified"
            : (refuse & Refuse.Inconsistent) != 0 && bitmap.IsInconsistent ? $"Bitmap '{name}' is inconsistent and cannot be used"
            : null;
        if (refusal is null) return;
        throw new BlockException(BlockErrorKind.InUse, refusal)
        {
            NodeName = node.NodeName,
            Hint = bitmap.IsInconsistent && !bitmap.IsBusy ? "Try block-dirty-bitmap-remove to delete this bitmap from disk" : null,
        };
    }

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);
}
