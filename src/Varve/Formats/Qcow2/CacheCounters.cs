using System.Text.Json.Nodes;

namespace Varve.Formats.Qcow2;

/// <summary>What a cache of tables did since the node was opened, whatever sizes it has had. The image's table lock guards it.</summary>
internal sealed class CacheCounters
{
    /// <summary>Slices that were asked for and cached.</summary>
    public long Hits;

    /// <summary>Slices that were asked for and read from the file.</summary>
    public long Misses;

    /// <summary>Slices given up to make room for others.</summary>
    public long Evictions;

    /// <summary>QMP's <c>BlockStatsSpecificQcow2Cache</c>.</summary>
    public JsonObject ToJson() => new() { ["hits"] = Hits, ["misses"] = Misses, ["evictions"] = Evictions };
}
