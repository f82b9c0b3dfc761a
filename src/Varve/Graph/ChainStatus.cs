namespace Varve.Graph;

/// <summary>What a chain of images says about a range, layer by layer from the top.</summary>
/// <remarks>Filters are skipped: a layer is a node that is none. Every answer is about one run that begins at the asked offset.</remarks>
internal static class ChainStatus
{
    /// <summary>Whether the first layer at or below <paramref name="node"/> decides the content of the run.</summary>
    public static async ValueTask<BlockRun> IsAllocatedAsync(BlockNode node, long offset, long length, CancellationToken cancellationToken)
    {
        BlockStatus status = await node.SkipFilters().GetStatusAsync(offset, length, precise: false, cancellationToken).ConfigureAwait(false);
        return new BlockRun(status.Length, status.IsAllocated ? 1 : 0, status.IsZero, status.IsAllocated && status.IsData);
    }

    /// <summary>Which layer from <paramref name="top"/> down to <paramref name="bottom"/>, both included, decides the content.</summary>
    /// <param name="top">The first layer (or a filter above it); null: an empty chain.</param>
    /// <param name="bottom">The last layer asked; null: the end of the chain.</param>
    /// <param name="offset">Bytes.</param>
    /// <param name="length">Bytes the caller is interested in.</param>
    /// <param name="precise">Whether to find out what reads as zeros.</param>
    /// <param name="cancellationToken">Ends waiting.</param>
    /// <remarks>
    /// A layer that ends before the range reads as zeros there, whatever lies below it. It counts as deciding only where something
    /// below <paramref name="bottom"/> could show through when the layers in between are gone: then those zeros have to be kept.
    /// </remarks>
    public static async ValueTask<BlockRun> AboveAsync(
        BlockNode? top, BlockNode? bottom, long offset, long length, bool precise, CancellationToken cancellationToken)
    {
        int depth = 0;
        for (BlockNode? layer = top?.SkipFilters(); layer is not null; layer = layer.BackingChild?.Node.SkipFilters())
        {
            depth++;
            long readable = layer.Length - offset;
            if (readable <= 0) return PastTheEnd(layer, bottom, offset, length, depth);

            BlockStatus status = await layer.GetStatusAsync(offset, Math.Min(length, readable), precise, cancellationToken).ConfigureAwait(false);
            length = Math.Min(length, status.Length);
            if (status.IsAllocated) return new BlockRun(length, depth, status.IsZero, status.IsData);
            if (ReferenceEquals(layer, bottom)) break;
        }

        return new BlockRun(length, 0, IsZero: bottom is null);
    }

    private static BlockRun PastTheEnd(BlockNode layer, BlockNode? bottom, long offset, long length, int depth)
    {
        while (!ReferenceEquals(layer, bottom) && layer.BackingChild is { } next) layer = next.Node.SkipFilters();
        BlockNode? below = layer.BackingChild?.Node;
        bool showsThrough = below is not null && below.Length > offset;
        return new BlockRun(showsThrough ? Math.Min(length, below!.Length - offset) : length, showsThrough ? depth : 0, IsZero: true);
    }
}

/// <summary>A run of equal status in a chain.</summary>
/// <param name="Length">Bytes; 0 only past the end of the first layer asked.</param>
/// <param name="Depth">The layer that decides the content, 1 for the first; 0 when none of those asked does.</param>
/// <param name="IsZero">Whether it is known to read as zeros.</param>
/// <param name="IsData">Whether the deciding layer stores data for it; what is neither data nor zero is not decided by any.</param>
internal readonly record struct BlockRun(long Length, int Depth, bool IsZero, bool IsData = false)
{
    public bool IsAllocated => Depth != 0;
}
