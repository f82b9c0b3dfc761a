using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Qmp.Server;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>blockdev-snapshot</c>: puts an opened image without a backing image on top of a node.</summary>
internal sealed class BlockdevSnapshot() : QmpCommand("blockdev-snapshot", Required("node", Str), Required("overlay", Str))
{
    public override IReadOnlyList<string> Features => ["allow-write-only-overlay"];

    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        BlockGraph graph = call.Context.Graph;
        BlockNode node = NodeLookup.ByName(graph, call.Text("node"));
        BlockNode overlay = NodeLookup.ByName(graph, call.Text("overlay"));
        await graph.SnapshotAsync(node, overlay, cancellationToken).ConfigureAwait(false);
        return null;
    }
}
