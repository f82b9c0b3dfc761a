using Varve.Graph;

namespace Varve.Cli.Img;

/// <summary>A run of an image with equal properties.</summary>
/// <param name="Start">Guest offset in bytes.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Depth">Steps down the backing chain to the layer that decides the content, or to the last one asked.</param>
/// <param name="Flags">What that layer says.</param>
/// <param name="HostOffset">Where the bytes lie in <paramref name="File"/>; null where they are not there as they are.</param>
/// <param name="File">The node that holds the bytes.</param>
internal readonly record struct MapEntry(long Start, long Length, int Depth, BlockStatusFlags Flags, long? HostOffset, BlockNode? File)
{
    public bool IsData => (Flags & BlockStatusFlags.Data) != 0;

    public bool IsZero => (Flags & BlockStatusFlags.Zero) != 0;

    public bool IsPresent => (Flags & BlockStatusFlags.Allocated) != 0;

    public bool IsCompressed => (Flags & BlockStatusFlags.Compressed) != 0;

    /// <summary>Asks layer by layer from <paramref name="top"/> until one knows.</summary>
    public static async ValueTask<MapEntry> QueryAsync(BlockNode top, long offset, long length, CancellationToken cancellationToken)
    {
        int depth = 0;
        for (BlockNode layer = top.SkipFilters(); ; layer = layer.BackingChild!.Node.SkipFilters(), depth++)
        {
            BlockStatus status = await layer.GetStatusAsync(offset, length, precise: true, cancellationToken).ConfigureAwait(false);
            length = status.Length;
            BlockStatusFlags flags = status.Flags & ~BlockStatusFlags.EndOfFile;   // of this layer; what counts is the top's
            bool decided = (flags & (BlockStatusFlags.Data | BlockStatusFlags.Zero)) != 0;
            if (!decided)
            {
                // Nothing below, or nothing below any more: reads as zeros, without this layer saying so.
                long below = layer.BackingChild?.Node.Length ?? 0;
                if (offset < below)
                {
                    length = Math.Min(length, below - offset);
                    continue;
                }

                // Only a driver that cannot have a backing image may not know what it shows.
                if (layer.Driver.SupportsBacking) flags |= BlockStatusFlags.Zero;
            }

            if (offset + length == top.Length) flags |= BlockStatusFlags.EndOfFile;
            return new MapEntry(offset, length, depth, flags, decided && status.HasOffset ? status.HostOffset : null, status.File);
        }
    }

    /// <summary>Whether <paramref name="next"/>, which begins where this one ends, says the same and lies behind it.</summary>
    public bool Continues(MapEntry next)
        => Depth == next.Depth && IsData == next.IsData && IsZero == next.IsZero && IsPresent == next.IsPresent && IsCompressed == next.IsCompressed
           && ReferenceEquals(File, next.File) && HostOffset.HasValue == next.HostOffset.HasValue
           && (HostOffset is not { } host || host + Length == next.HostOffset);
}
