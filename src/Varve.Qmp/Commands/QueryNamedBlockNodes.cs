using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;
using Varve.Qmp.Schema;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>query-named-block-nodes</c>: every node, newest first; flat leaves out the chains below them.</summary>
internal sealed class QueryNamedBlockNodes() : QmpCommand("query-named-block-nodes", Optional("flat", Bool))
{
    public override OptionType Returns => BlockInfoTypes.Device.List;

    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        var nodes = new JsonArray();
        foreach (BlockNode node in call.Context.Graph.Nodes)
        {
            nodes.Add((JsonNode)await NodeInfo.OfDeviceAsync(node, call.Flag("flat"), cancellationToken).ConfigureAwait(false));
        }

        return nodes;
    }
}
