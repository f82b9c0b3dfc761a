using System.Text.Json.Nodes;
using Varve.Bitmaps;
using Varve.Graph;
using Varve.Qmp.Schema;
using Varve.Qmp.Server;

namespace Varve.Qmp.Commands;

/// <summary><c>block-dirty-bitmap-remove</c>: ends a bitmap, in the image too where it is stored there.</summary>
internal sealed class BlockDirtyBitmapRemove() : QmpCommand("block-dirty-bitmap-remove", BitmapTypes.Named)
{
    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        BlockNode node = NodeLookup.ByName(call.Context.Graph, call.Text("node"));
        await BitmapOperations.RemoveAsync(node, call.Text("name"), cancellationToken).ConfigureAwait(false);
        return null;
    }
}
