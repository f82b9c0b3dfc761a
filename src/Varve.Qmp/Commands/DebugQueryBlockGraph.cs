using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Jobs;
using Varve.Options;
using Varve.Qmp.Schema;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>x-debug-query-block-graph</c>: everything that holds an edge of the graph, and every edge with its permissions.</summary>
internal sealed class DebugQueryBlockGraph() : QmpCommand("x-debug-query-block-graph")
{
    private static readonly EnumType s_nodeType = new("XDbgBlockGraphNodeType", ["block-backend", "block-job", "block-driver"]);

    private static readonly ObjectType s_node = new("XDbgBlockGraphNode",
            [Required("id", OptionType.UInt64), Required("type", s_nodeType), Required("name", Str)]),
        s_edge = new("XDbgBlockGraphEdge",
        [
            Required("parent", OptionType.UInt64), Required("child", OptionType.UInt64), Required("name", Str),
            Required("perm", QmpTypes.Permission.List), Required("shared-perm", QmpTypes.Permission.List),
        ]);

    private static readonly (BlockPermissions Bit, string Name)[] s_permissions =
    [
        (BlockPermissions.ConsistentRead, "consistent-read"), (BlockPermissions.Write, "write"),
        (BlockPermissions.WriteUnchanged, "write-unchanged"), (BlockPermissions.Resize, "resize"),
    ];

    public override OptionType Returns { get; } = new ObjectType("XDbgBlockGraph", [Required("nodes", s_node.List), Required("edges", s_edge.List)]);

    public override IReadOnlyList<string> Features => ["unstable"];

    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        var numbers = new Dictionary<IBlockParent, int>(ReferenceEqualityComparer.Instance);
        JsonArray nodes = [], edges = [];
        foreach (BlockNode node in call.Context.Graph.Nodes)
        {
            NumberOf(node);
            foreach (BlockChild edge in node.Parents) edges.Add((JsonNode)Describe(edge, NumberOf(edge.Parent), NumberOf(node)));
        }

        return new(new JsonObject { ["nodes"] = nodes, ["edges"] = edges });

        int NumberOf(IBlockParent holder)
        {
            if (numbers.TryGetValue(holder, out int known)) return known;
            int number = numbers.Count + 1;
            numbers.Add(holder, number);
            (string type, string name) = holder switch
            {
                BlockNode node => ("block-driver", node.NodeName),
                Job job => ("block-job", job.Id),
                _ => ("block-backend", ""),
            };
            nodes.Add((JsonNode)new JsonObject { ["id"] = number, ["type"] = type, ["name"] = name });
            return number;
        }
    }

    private static JsonObject Describe(BlockChild edge, int parent, int child) => new()
    {
        ["parent"] = parent,
        ["child"] = child,
        ["name"] = edge.Name,
        ["perm"] = Names(edge.Permissions),
        ["shared-perm"] = Names(edge.Shared),
    };

    private static JsonArray Names(BlockPermissions permissions)
        => new([.. s_permissions.Where(p => (permissions & p.Bit) != 0).Select(p => (JsonNode)p.Name)]);
}
