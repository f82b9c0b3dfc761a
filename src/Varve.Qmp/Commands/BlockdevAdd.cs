using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Qmp.Commands;

/// <summary><c>blockdev-add</c>: opens a node and what lies below it, and keeps it until <c>blockdev-del</c>.</summary>
internal sealed class BlockdevAdd() : QmpCommand("blockdev-add", BlockdevSchema.Options)
{
    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        await call.Context.Graph.AddNodeAsync(call.Arguments, call.Context.OpenContext, cancellationToken).ConfigureAwait(false);
        return null;
    }
}
