using System.Text;
using Varve.Bitmaps;
using Varve.Creation;
using Varve.Graph;

namespace Varve.Formats.Qcow2;

/// <summary>How large an image gets: the layout of one with everything allocated, less the clusters a source has no data for.</summary>
internal static class Qcow2Measure
{
    private const int DirectoryEntryBytes = 24;

    /// <param name="options">Of the image to be created.</param>
    /// <param name="source">What would be copied; null: an empty image.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async ValueTask<ImageMeasurement> RunAsync(Qcow2CreateOptions options, BlockBackend? source, CancellationToken cancellationToken)
    {
        using Qcow2Encryption? encryption = options.Encryption;
        Qcow2Layout layout = LayOut(options);
        long full = layout.ClusterCount * layout.ClusterSize;

        // What a backing image of the target holds is not known here, so anything may have to be written.
        bool isWhole = (options.BackingFile is not null && source is not null) || options.Preallocation is PreallocationMode.Falloc or PreallocationMode.Full;
        if (isWhole) return new ImageMeasurement(full, full) { Bitmaps = BitmapBytes(source, layout.ClusterSize) };
        long data = source is null ? 0 : await CountDataClustersAsync(source, layout.ClusterSize, cancellationToken).ConfigureAwait(false);
        long required = full - (layout.DataClusters - data) * layout.ClusterSize;
        return new ImageMeasurement(required, full) { Bitmaps = BitmapBytes(source, layout.ClusterSize) };
    }

    private static Qcow2Layout LayOut(Qcow2CreateOptions options)
    {
        try
        {
            return new Qcow2Layout(options with { Preallocation = PreallocationMode.Metadata, BackingFile = null });
        }
        catch (BlockException e) when (e.Kind == BlockErrorKind.TooLarge)
        {
            throw new BlockException(e.Kind, "The image size is too large (try using a larger cluster size)", e);
        }
    }

    /// <summary>Clusters of the target that the data of a source's whole chain touches.</summary>
    private static async ValueTask<long> CountDataClustersAsync(BlockBackend source, long clusterSize, CancellationToken cancellationToken)
    {
        long count = 0;
        for (long offset = 0; offset < source.Length;)
        {
            source.Node.Graph.OnProgress(offset, source.Length);
            BlockRun run = await source.RunAsync(
                static (node, at, token) => ChainStatus.AboveAsync(node, bottom: null, at, node.Length - at, precise: true, token), offset, cancellationToken)
                .ConfigureAwait(false);
            long end = offset + run.Length;
            if (run.IsAllocated && run.IsData && !run.IsZero)
            {
                count += Align.Count(end, clusterSize) - offset / clusterSize;
                end = Align.Up(end, clusterSize);      // the last cluster is counted, whatever else is in it
            }

            offset = end;
        }

        return count;
    }

    /// <summary>Bytes of directory, tables and data of a source's persistent bitmaps.</summary>
    private static long? BitmapBytes(BlockBackend? source, long clusterSize)
    {
        if (source?.Node.SkipFilters() is not { SupportsPersistentBitmaps: true } node) return null;
        long clusters = 0, directory = 0;
        foreach (DirtyBitmap bitmap in node.Bitmaps.Named.Where(b => b.IsPersistent))
        {
            long data = Align.Count(Align.Count(Align.Count(source.Length, bitmap.Granularity), 8), clusterSize);
            clusters += data + Align.Count(data * 8, clusterSize);
            directory += Align.Up(DirectoryEntryBytes + Encoding.UTF8.GetByteCount(bitmap.Name!), 8);
        }

        return (clusters + Align.Count(directory, clusterSize)) * clusterSize;
    }
}
