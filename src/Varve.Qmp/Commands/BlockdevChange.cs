using System.Text.Json.Nodes;
using Varve.Filters.Quorum;
using Varve.Graph;
using Varve.Qmp.Server;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>x-blockdev-change</c>: a quorum gets another child, or loses one.</summary>
internal sealed class BlockdevChange() : QmpCommand("x-blockdev-change", Required("parent", Str), Optional("child", Str), Optional("node", Str))
{
    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        BlockGraph graph = call.Context.Graph;
        BlockNode parent = graph.LookUp(call.Text("parent"));
        string? child = call.OptionalText("child"), node = call.OptionalText("node");
        if (child is null == node is null)
        {
            throw new BlockException(
                BlockErrorKind.Invalid, child is null ? "Either child or node must be specified" : "The parameters child and node are in conflict");
        }

        if (child is not null)
        {
            await QuorumChildren.RemoveAsync(parent, child, cancellationToken).ConfigureAwait(false);
            return null;
        }

        BlockNode added = graph.FindNode(node!) ?? throw new BlockException(BlockErrorKind.NotFound, $"Node '{node}' not found");
        await QuorumChildren.AddAsync(parent, added, cancellationToken).ConfigureAwait(false);
        return null;
    }
}
