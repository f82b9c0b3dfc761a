namespace Varve.Formats.Qcow2;

/// <summary>How often each host cluster is referenced, counted by a check: sparse, and of bounded size whatever an image claims.</summary>
/// <remarks>A page counts 4096 clusters in a byte each; the few clusters that are referenced more often spill into a dictionary.</remarks>
internal sealed class ReferenceCounts(int refcountOrder)
{
    private const int PageBits = 12;

    /// <summary>1 GiB of counters: 4 PiB of densely used 64 KiB clusters.</summary>
    private const int MaxPages = 1 << 18;
    private readonly Dictionary<long, byte[]> _pages = [];
    private readonly Dictionary<long, ulong> _large = [];

    /// <summary>The largest count that an image's refcounts can hold.</summary>
    public ulong Max { get; } = Metadata.RefcountBlock.MaxRefcount(refcountOrder);

    public ulong this[long cluster]
    {
        get
        {
            if (!_pages.TryGetValue(cluster >> PageBits, out byte[]? page)) return 0;
            byte count = page[cluster & ((1 << PageBits) - 1)];
            return count < byte.MaxValue ? count : _large[cluster];
        }
    }

    /// <summary>Counts one more reference; false when the image's refcount width cannot express it.</summary>
    public bool TryAdd(long cluster)
    {
        ulong count = this[cluster];
        if (count >= Max) return false;
        Set(cluster, count + 1);
        return true;
    }

    public void Set(long cluster, ulong count)
    {
        if (!_pages.TryGetValue(cluster >> PageBits, out byte[]? page))
        {
            if (_pages.Count == MaxPages) throw new BlockException(BlockErrorKind.TooLarge, "The image refers to too many places to be checked");
            _pages[cluster >> PageBits] = page = new byte[1 << PageBits];
        }

        page[cluster & ((1 << PageBits) - 1)] = (byte)Math.Min(count, byte.MaxValue);
        if (count >= byte.MaxValue) _large[cluster] = count;
        else _large.Remove(cluster);
    }

    /// <summary>Ranges of clusters in which any may be referenced, ascending; nothing outside them is.</summary>
    public IEnumerable<(long First, long End)> Ranges()
        => _pages.Keys.Order().Select(page => (page << PageBits, (page + 1) << PageBits));
}
