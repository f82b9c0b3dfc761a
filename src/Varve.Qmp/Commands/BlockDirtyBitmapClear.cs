using System.Text.Json.Nodes;
using Varve.Bitmaps;
using Varve.Graph;
using Varve.Qmp.Schema;
using Varve.Qmp.Server;

namespace Varve.Qmp.Commands;

/// <summary><c>block-dirty-bitmap-clear</c>: unmarks everything in a bitmap.</summary>
internal sealed class BlockDirtyBitmapClear() : QmpCommand("block-dirty-bitmap-clear", BitmapTypes.Named)
{
    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        BlockNode node = NodeLookup.ByName(call.Context.Graph, call.Text("node"));
        await BitmapOperations.ClearAsync(node, call.Text("name"), cancellationToken).ConfigureAwait(false);
        return null;
    }
}
