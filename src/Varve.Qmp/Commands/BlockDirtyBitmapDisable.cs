using System.Text.Json.Nodes;
using Varve.Bitmaps;
using Varve.Graph;
using Varve.Qmp.Schema;
using Varve.Qmp.Server;

namespace Varve.Qmp.Commands;

/// <summary><c>block-dirty-bitmap-disable</c>: a bitmap records nothing from now on.</summary>
internal sealed class BlockDirtyBitmapDisable() : QmpCommand("block-dirty-bitmap-disable", BitmapTypes.Named)
{
    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        BlockNode node = NodeLookup.ByName(call.Context.Graph, call.Text("node"));
        await BitmapOperations.DisableAsync(node, call.Text("name"), cancellationToken).ConfigureAwait(false);
        return null;
    }
}
