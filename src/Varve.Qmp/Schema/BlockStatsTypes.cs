using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Schema;

/// <summary>What <c>query-blockstats</c> tells.</summary>
internal static class BlockStatsTypes
{
    private static readonly string[] s_kinds = ["rd", "wr", "zone_append", "flush", "unmap"];

    /// <summary>The counters every entry has, all numbers.</summary>
    public static IReadOnlyList<string> Counters { get; } =
    [
        "rd_bytes", "wr_bytes", "zone_append_bytes", "unmap_bytes",
        .. s_kinds.Select(k => k + "_operations"), .. s_kinds.Select(k => k + "_total_time_ns"), "wr_highest_offset",
        "rd_merged", "wr_merged", "zone_append_merged", "unmap_merged",
        .. s_kinds.Select(k => $"failed_{k}_operations"), .. s_kinds.Select(k => $"invalid_{k}_operations"),
    ];

    private static readonly ObjectType s_interval = new("BlockDeviceTimedStats",
    [
        Required("interval_length", Int),
        .. new[] { "rd", "wr", "zone_append", "flush" }.SelectMany(k => new[] { "min", "max", "avg" }.Select(w => Required($"{w}_{k}_latency_ns", Int))),
        .. new[] { "rd", "wr", "zone_append" }.Select(k => Required($"avg_{k}_queue_depth", Number)),
    ]);

    private static readonly ObjectType s_histogram = new("BlockLatencyHistogramInfo",
        [Required("boundaries", OptionType.UInt64.List), Required("bins", OptionType.UInt64.List)]);

    private static readonly ObjectType s_device = new("BlockDeviceStats",
    [
        .. Counters.Select(c => Required(c, Int)), Optional("idle_time_ns", Int), Required("account_invalid", Bool),
        Required("account_failed", Bool), Required("timed_stats", s_interval.List),
        .. new[] { "rd", "wr", "zone_append", "flush" }.Select(k => Optional(k + "_latency_histogram", s_histogram)),
    ]);

    private static readonly ObjectType s_file = new("BlockStatsSpecificFile",
        [.. new[] { "discard-nb-ok", "discard-nb-failed", "discard-bytes-ok" }.Select(c => Required(c, OptionType.UInt64))]);

    private static readonly ObjectType s_tableCache = new("BlockStatsSpecificQcow2Cache",
        [.. new[] { "hits", "misses", "evictions" }.Select(c => Required(c, OptionType.UInt64))]);

    /// <summary>What a driver counts. The variant of qcow2 is ours.</summary>
    private static readonly ObjectType s_specific = new(
        "BlockStatsSpecific",
        [Required("driver", BlockdevSchema.Driver)],
        "driver",
        new Dictionary<string, ObjectType>
        {
            ["file"] = s_file,
            ["host_device"] = s_file,
            ["qcow2"] = new("BlockStatsSpecificQcow2", [Required("l2-cache", s_tableCache), Required("refcount-cache", s_tableCache)]),
        });

    /// <summary>One device or node, with what lies below it.</summary>
    public static ObjectType Stats { get; } = MakeStats();

    private static ObjectType MakeStats()
    {
        List<OptionMember> members =
        [
            Optional("device", Str), Optional("qdev", Str), Optional("node-name", Str), Required("stats", s_device),
            Optional("driver-specific", s_specific),
        ];
        var stats = new ObjectType("BlockStats", members);
        members.AddRange([Optional("parent", stats), Optional("backing", stats)]);   // the type refers to itself
        return stats;
    }
}
