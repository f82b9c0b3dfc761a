using System.Text.Json.Nodes;

namespace Varve.Simulation;

/// <summary>The caches of a qcow2 node: as they are by themselves, as small as they can be, odd, or larger than any image here.</summary>
/// <param name="L2"><c>l2-cache-size</c>; null: not given, as below.</param>
/// <param name="L2Entry"><c>l2-cache-entry-size</c>.</param>
/// <param name="Refcounts"><c>refcount-cache-size</c>.</param>
/// <param name="CleanInterval"><c>cache-clean-interval</c>, in seconds; how many does not matter where time is a test's.</param>
internal sealed record CacheSizes(long? L2, int? L2Entry, long? Refcounts, long? CleanInterval)
{
    public static CacheSizes Draw(Random random, int clusterSize)
    {
        int? entry = random.Next(3) == 0 ? null : 512 << random.Next(int.Log2(clusterSize / 512) + 1);
        return new(DrawSize(random, entry ?? clusterSize), entry, DrawSize(random, clusterSize), DrawInterval(random));
    }

    /// <summary>Adds what is given to a node's options.</summary>
    public void AddTo(JsonObject options)
    {
        if (L2 is { } l2) options["l2-cache-size"] = l2;
        if (L2Entry is { } entry) options["l2-cache-entry-size"] = entry;
        if (Refcounts is { } refcounts) options["refcount-cache-size"] = refcounts;
        if (CleanInterval is { } interval) options["cache-clean-interval"] = interval;
    }

    private static long? DrawSize(Random random, int sliceSize) => random.Next(8) switch
    {
        0 => null,
        1 => 64 << 20,
        < 5 => random.Next(3),
        _ => random.Next(12 * sliceSize),
    };

    private static long? DrawInterval(Random random) => random.Next(4) switch { 0 => null, 1 => 0, 2 => 1, _ => uint.MaxValue };
}
