using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Qmp.Server;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>block_resize</c>: gives a node another length, while it is drained.</summary>
internal sealed class BlockResize() : QmpCommand("block_resize", Optional("device", Str), Optional("node-name", Str), Required("size", Int))
{
    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        BlockGraph graph = call.Context.Graph;
        BlockNode node = NodeLookup.ByName(graph, call.OptionalText("device"), call.OptionalText("node-name"));
        long size = call.Number("size");
        if (size < 0) throw new BlockException(BlockErrorKind.Invalid, "Parameter 'size' expects a >0 size");

        // Differs from QEMU: it names the device even here, where there is none, and so says "(null)".
        if (BlockGraph.BlockerOf(node) is not null) throw new BlockException(BlockErrorKind.InUse, $"Device '{node.NodeName}' is in use");
        BlockBackend backend = await graph.OpenBackendAsync(
            node, BlockPermissions.Resize, BlockPermissions.All, cancellationToken: cancellationToken).ConfigureAwait(false);
        try
        {
            using DrainedSection drained = await BlockGraph.DrainAsync(node).ConfigureAwait(false);
            await node.ResizeAsync(size, PreallocationMode.Off, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            await backend.CloseAsync().ConfigureAwait(false);
        }

        return null;
    }
}
