using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;
using Varve.Qmp.Schema;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>query-blockstats</c>: with <c>query-nodes</c> all nodes, oldest first, each with the nodes that hold its bytes.</summary>
/// <remarks>As in the reference, operations are counted by devices, of which a storage daemon has none; a node knows only how
/// far into it writes have reached, and what its driver counts.</remarks>
internal sealed class QueryBlockStats() : QmpCommand("query-blockstats", Optional("query-nodes", Bool))
{
    public override OptionType Returns => BlockStatsTypes.Stats.List;

    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
        => new(new JsonArray([.. call.Flag("query-nodes") ? call.Context.Graph.Nodes.Reverse().Select(n => (JsonNode)Describe(n)) : []]));

    private static JsonObject Describe(BlockNode node)
    {
        var counters = new JsonObject();
        foreach (string name in BlockStatsTypes.Counters) counters[name] = 0;
        counters["wr_highest_offset"] = node.HighestWrite;
        counters["account_invalid"] = false;
        counters["account_failed"] = false;
        counters["timed_stats"] = new JsonArray();
        var stats = new JsonObject { ["node-name"] = node.NodeName, ["stats"] = counters };
        if (node.GetSpecificStatistics() is { } specific) stats["driver-specific"] = specific;
        if (node.PrimaryChild is { } child) stats["parent"] = Describe(child.Node);
        return stats;
    }
}
