using System.Text.Json.Nodes;
using Varve.Bitmaps;
using Varve.Graph;
using Varve.Qmp.Schema;
using Varve.Qmp.Server;

namespace Varve.Qmp.Commands;

/// <summary><c>block-dirty-bitmap-add</c>: begins to record what changes on a node.</summary>
internal sealed class BlockDirtyBitmapAdd() : QmpCommand("block-dirty-bitmap-add", BitmapTypes.Add)
{
    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        BlockNode node = NodeLookup.ByName(call.Context.Graph, call.Text("node"));
        await BitmapOperations.AddAsync(
            node, call.Text("name"), call.OptionalNumber("granularity"), call.Flag("persistent"), call.Flag("disabled"), cancellationToken)
            .ConfigureAwait(false);
        return null;
    }
}
