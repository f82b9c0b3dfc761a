using System.Text.Json.Nodes;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>blockdev-del</c>: closes a node that <c>blockdev-add</c> made and nobody else uses.</summary>
internal sealed class BlockdevDel() : QmpCommand("blockdev-del", Required("node-name", Str))
{
    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        await call.Context.Graph.DeleteNodeAsync(call.Text("node-name")).ConfigureAwait(false);
        return null;
    }
}
