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

    /// <summary>Looks down the chain for the range's first cluster, and remembers what it finds on the way of the clusters around it.</summary>
    public async ValueTask<BlockNode> FindAsync(BlockNode backing, long offset, int length, CancellationToken cancellationToken)
    {
        if (TryFind(backing, offset, length) is { } known) return known;
        int clusterBits = BitOperations.TrailingZeroCount(image.ClusterSize);
        long cluster = offset >> clusterBits;
        if (cluster != (offset + length - 1) >> clusterBits) return backing;
        long version = image.Graph.ChainVersion;
        var group = new Group(cluster & ~(Group.Size - 1L), clusterBits, image.Length);
        ulong wanted = 1UL << (int)(cluster - group.First);
        try
        {
            return await LookAsync(version, backing, group, group.All, wanted, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException)
        {
            // What is wrong with a neighbour fails who reads the neighbour.
            return await LookAsync(version, backing, group, wanted, wanted, cancellationToken).ConfigureAwait(false);
        }
    }

    private async ValueTask<BlockNode> LookAsync(
        long version, BlockNode backing, Group group, ulong open, ulong wanted, CancellationToken cancellationToken)
    {
        BlockNode layer = backing;
        for (int layers = 0; ; layers++)
        {
            BlockNode? below = layers < Table.MaxLayers ? layer.BackingChild?.Node : null;
            ulong held = below is null ? open : await group.FindHeldAsync(layer, Math.Min(layer.Length, below.Length), open, cancellationToken).ConfigureAwait(false);
            Remember(version, backing, group.First, held, layers);
            if ((held & wanted) != 0) return layer;
            open &= ~held;
            layer = below!;
        }
    }

    private void Remember(long version, BlockNode backing, long firstCluster, ulong clusters, int layer)
    {
        Table? table = _table;
        if (table is null || table.Version != version)
        {
            if (version != image.Graph.ChainVersion) return;
            table = Table.Create(version, backing, Align.Count(image.Length, image.ClusterSize));
            _table = table;
        }

        for (; clusters != 0; clusters &= clusters - 1) table.Set(firstCluster + BitOperations.TrailingZeroCount(clusters), layer);
    }

    /// <summary>Neighbouring clusters of the image, which a look down the chain asks for together: as many runs as there are, not as many as clusters.</summary>
    /// <param name="First">The number of the first.</param>
    /// <param name="ClusterBits">Their size, as a power of two.</param>
    /// <param name="ImageLength">Where the last one of the image ends.</param>
    private readonly record struct Group(long First, int ClusterBits, long ImageLength)
    {
        public const int Size = 64;

        /// <summary>One bit for each cluster that there is.</summary>
        public ulong All => ulong.MaxValue >> (int)(Size - Math.Min(Size, Align.Count(ImageLength, 1 << ClusterBits) - First));

        /// <summary>Which clusters of <paramref name="open"/> a layer answers for: those it has a part of, and those for which it, or what is below,
        /// is too short.</summary>
        /// <param name="layer">The layer.</param>
        /// <param name="length">Of the layer, or of the one below if that is shorter.</param>
        /// <param name="open">The clusters to ask for.</param>
        /// <param name="cancellationToken">Ends it.</param>
        public async ValueTask<ulong> FindHeldAsync(BlockNode layer, long length, ulong open, CancellationToken cancellationToken)
        {
            ulong held = 0;
            for (ulong left = open; left != 0; left &= open)
            {
                int index = BitOperations.TrailingZeroCount(left);
                long start = (First + index) << ClusterBits;
                if (EndOf(index) > length) return held | left;
                long end = Math.Min(EndOf(Size - 1 - BitOperations.LeadingZeroCount(left)), length);
                BlockStatus run = await layer.GetStatusAsync(start, end - start, precise: false, cancellationToken).ConfigureAwait(false);
                long runEnd = start + run.Length;
                int next = runEnd == end && end == ImageLength ? Size : (int)((runEnd >> ClusterBits) - First);   // the first that the run does not end
                bool isHeld = run.IsAllocated || next == index;
                if (isHeld) next = (int)(((runEnd - 1) >> ClusterBits) - First) + 1;
                ulong behind = next >= Size ? 0 : ulong.MaxValue << next;
                if (isHeld) held |= left & ~behind;
                left = behind;
            }

            return held;
        }

        private long EndOf(int index) => Math.Min((First + index + 1) << ClusterBits, ImageLength);
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
