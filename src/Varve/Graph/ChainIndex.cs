using System.Numerics;
using System.Runtime.CompilerServices;

namespace Varve.Graph;

// What an index remembers
//   1. For a cluster of the image above: which image down the chain has it, so that a read goes there and not through every image
//      between. It is a shortcut and never the truth: what is not remembered is looked up image by image.
//   2. It holds as long as BlockGraph.ChainVersion stays what it was before the looking began. The version changes after any edge of
//      the graph has changed (then nothing is in flight), and whenever an image that others are backed by changes what it has.
//   3. Memory is bounded: a table of MaxEntries words, in which a cluster has one place; the last one wins.

/// <summary>Where reads go that an image leaves to its backing chain.</summary>
internal sealed class ChainIndex(BlockNode image)
{
    /// <summary>Words of the table at most: 2 MiB, 16 GiB of clusters of 64 KiB.</summary>
    private const int MaxEntries = 1 << 18;

    private const int LayerBits = 16;

    private volatile Table? _table;

    /// <summary>The node to read a range from; null where that has to be found out first: <see cref="FindAsync"/>.</summary>
    /// <param name="backing">The image's backing node.</param>
    /// <param name="offset">Bytes; the range is inside the image, and not allocated in it.</param>
    /// <param name="length">Bytes.</param>
    public BlockNode? TryFind(BlockNode backing, long offset, int length)
    {
        if (backing.BackingChild is null) return backing;
        int clusterBits = BitOperations.TrailingZeroCount(image.ClusterSize);
        long cluster = offset >> clusterBits;
        if (cluster != (offset + length - 1) >> clusterBits) return null;
        return _table is { } table && table.Version == image.Graph.ChainVersion ? table.Find(cluster) : null;
    }

    /// <summary>Looks down the chain, and remembers what it finds of the range's first cluster.</summary>
    public async ValueTask<BlockNode> FindAsync(BlockNode backing, long offset, int length, CancellationToken cancellationToken)
    {
        if (TryFind(backing, offset, length) is { } known) return known;
        int clusterSize = image.ClusterSize;
        long cluster = offset / clusterSize, start = cluster * clusterSize;
        if (offset + length > start + clusterSize) return backing;
        long version = image.Graph.ChainVersion, wanted = Math.Min(clusterSize, image.Length - start);

        // An image that has part of the cluster, or is too short for it, answers for all of it.
        int layers = 0;
        BlockNode layer = backing;
        while (layer.BackingChild is { Node: var below } && layers < Table.MaxLayers && start + wanted <= layer.Length && start + wanted <= below.Length)
        {
            BlockStatus status = await layer.GetStatusAsync(start, wanted, precise: false, cancellationToken).ConfigureAwait(false);
            if (status.IsAllocated || status.Length < wanted) break;
            layer = below;
            layers++;
        }

        Remember(version, backing, cluster, layers);
        return layer;
    }

    private void Remember(long version, BlockNode backing, long cluster, int layer)
    {
        Table? table = _table;
        if (table is null || table.Version != version)
        {
            if (version != image.Graph.ChainVersion) return;
            table = Table.Create(version, backing, Align.Count(image.Length, image.ClusterSize));
            _table = table;
        }

        table.Set(cluster, layer);
    }

    /// <summary>What was found under one version. Words of a cluster's number, 1 more than it is, and the layer below it.</summary>
    private sealed class Table
    {
        public const int MaxLayers = (1 << LayerBits) - 1;

        private readonly BlockNode[] _layers;
        private readonly long[] _words;

        private Table(long version, BlockNode[] layers, long[] words)
        {
            Version = version;
            _layers = layers;
            _words = words;
        }

        public long Version { get; }

        public static Table Create(long version, BlockNode backing, long clusterCount)
        {
            var layers = new List<BlockNode> { backing };
            while (layers[^1].BackingChild is { } next && layers.Count <= MaxLayers) layers.Add(next.Node);
            return new Table(version, [.. layers], new long[(int)Math.Min(MaxEntries, (long)BitOperations.RoundUpToPowerOf2((ulong)Math.Max(clusterCount, 1)))]);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public BlockNode? Find(long cluster)
        {
            long word = Volatile.Read(ref _words[cluster & (_words.Length - 1)]);
            return word >> LayerBits == cluster + 1 ? _layers[word & MaxLayers] : null;
        }

        public void Set(long cluster, int layer) => Volatile.Write(ref _words[cluster & (_words.Length - 1)], ((cluster + 1) << LayerBits) | (long)layer);
    }
}
