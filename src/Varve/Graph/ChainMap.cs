using System.Runtime.CompilerServices;

namespace Varve.Graph;

/// <summary>A run of a chain's content that comes from one place (QMP <c>MapEntry</c>).</summary>
/// <param name="Start">Bytes.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Depth">How many backing steps down the deciding image lies; where none decides, the last one looked at.</param>
/// <param name="IsPresent">Whether an image of the chain has it, as data or as zeros.</param>
/// <param name="IsZero">Reads as zeros.</param>
/// <param name="IsData">Stored as data.</param>
/// <param name="IsCompressed">Stored compressed.</param>
/// <param name="Offset">Where the bytes lie as they are in <paramref name="File"/>; null where they do not.</param>
/// <param name="File">The node that holds them.</param>
internal sealed record MapExtent(
    long Start, long Length, int Depth, bool IsPresent, bool IsZero, bool IsData, bool IsCompressed, long? Offset, BlockNode? File)
{
    /// <summary>Whether <paramref name="next"/> goes on where this ends, in content and in the file.</summary>
    internal bool ContinuesIn(MapExtent next)
        => (Depth, IsPresent, IsZero, IsData, IsCompressed) == (next.Depth, next.IsPresent, next.IsZero, next.IsData, next.IsCompressed)
           && ReferenceEquals(File, next.File)
           && next.Offset == (Offset is { } offset ? offset + Length : null);
}

/// <summary>Where the content of a whole chain lies (<c>img map</c>).</summary>
internal static class ChainMap
{
    /// <summary>The extents of a range, in order and without gaps; neighbours that belong together are one.</summary>
    /// <param name="backend">The way into the chain; each look is one of its requests.</param>
    /// <param name="start">Bytes.</param>
    /// <param name="length">Bytes; cut at the end of the node.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async IAsyncEnumerable<MapExtent> ExtentsAsync(
        BlockBackend backend, long start, long length, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        long end = Math.Min(backend.Length, length > long.MaxValue - start ? long.MaxValue : start + length);
        MapExtent? current = null;
        for (long offset = start; offset < end;)
        {
            MapExtent next = await backend.RunAsync(static (node, range, token) => FindAsync(node, range.Offset, range.Length, token),
                (Offset: offset, Length: end - offset), cancellationToken).ConfigureAwait(false);
            offset += next.Length;
            if (current is not null && current.ContinuesIn(next))
            {
                current = current with { Length = current.Length + next.Length };
                continue;
            }

            if (current is not null) yield return current;
            current = next;
        }

        if (current is not null) yield return current;
    }

    /// <summary>The first extent of a range that ends inside the node.</summary>
    public static async ValueTask<MapExtent> FindAsync(BlockNode top, long offset, long length, CancellationToken cancellationToken)
    {
        BlockNode layer = top.SkipFilters();
        for (int depth = 0; ; depth++)
        {
            BlockStatus status = await layer.GetStatusAsync(offset, length, precise: true, cancellationToken).ConfigureAwait(false);
            length = status.Length;
            bool isDecided = status.IsData || status.IsZero;
            BlockNode? below = isDecided ? null : layer.BackingChild?.Node.SkipFilters();
            if (below is not null && offset < below.Length)
            {
                layer = below;
                continue;
            }

            // What no image has reads as zeros; only a driver that cannot have a backing image may not know what it shows.
            bool isZero = status.IsZero || (!isDecided && layer.Driver.SupportsBacking);
            bool isPresent = isDecided && status.IsAllocated;
            return new MapExtent(
                offset, length, depth, isPresent, isZero, status.IsData, status.IsCompressed,
                status.HasOffset && isDecided ? status.HostOffset : null, status.HasOffset && isDecided ? status.File : null);
        }
    }
}
