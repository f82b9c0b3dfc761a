using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;
using Varve.Qmp.Schema;
using Varve.Qmp.Server;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>blockdev-snapshot-sync</c>: creates an image, or opens one, and puts it on top of a node.</summary>
internal sealed class BlockdevSnapshotSync() : QmpCommand("blockdev-snapshot-sync", s_arguments)
{
    private static readonly OptionMember[] s_arguments =
    [
        Optional("device", Str), Optional("node-name", Str), Required("snapshot-file", Str), Optional("snapshot-node-name", Str),
        Optional("format", Str), Optional("mode", QmpTypes.NewImageMode),
    ];

    /// <summary>The operation takes the lock for its parts, so that creating the image keeps nobody waiting.</summary>
    public override bool NeedsControlLock => false;

    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        BlockGraph graph = call.Context.Graph;
        string? nodeName = call.OptionalText("node-name"), overlayName = call.OptionalText("snapshot-node-name");
        BlockNode node;
        using (await graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false))
        {
            node = NodeLookup.ByName(graph, call.OptionalText("device"), nodeName);
            BlockGraph.RequireFree(node);
        }

        if (nodeName is not null && overlayName is null) throw new BlockException(BlockErrorKind.Invalid, "New overlay node-name missing");
        await graph.SnapshotSyncAsync(
            node,
            call.Text("snapshot-file"),
            overlayName,
            call.OptionalText("format") ?? "qcow2",
            call.OptionalText("mode") == "existing" ? NewImageMode.Existing : NewImageMode.AbsolutePaths,
            call.Context.OpenContext,
            cancellationToken).ConfigureAwait(false);
        return null;
    }
}
