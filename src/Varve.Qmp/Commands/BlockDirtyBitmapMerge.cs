using System.Text.Json.Nodes;
using Varve.Bitmaps;
using Varve.Graph;
using Varve.Qmp.Schema;
using Varve.Qmp.Server;

namespace Varve.Qmp.Commands;

/// <summary><c>block-dirty-bitmap-merge</c>: marks in one bitmap what others have marked.</summary>
internal sealed class BlockDirtyBitmapMerge() : QmpCommand("block-dirty-bitmap-merge", BitmapTypes.Merge)
{
    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        BlockNode node = NodeLookup.ByName(call.Context.Graph, call.Text("node"));
        await BitmapOperations.MergeAsync(node, call.Text("target"), BitmapTypes.SourcesOf(call.Context.Graph, node, call.Arguments), cancellationToken)
            .ConfigureAwait(false);
        return null;
    }
}
