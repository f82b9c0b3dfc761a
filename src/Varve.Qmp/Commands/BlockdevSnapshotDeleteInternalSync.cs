using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;
using Varve.Qmp.Schema;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>blockdev-snapshot-delete-internal-sync</c>: gives up a snapshot inside an image, and tells what it was.</summary>
internal sealed class BlockdevSnapshotDeleteInternalSync()
    : QmpCommand("blockdev-snapshot-delete-internal-sync", Required("device", Str), Optional("id", Str), Optional("name", Str))
{
    public override OptionType Returns => BlockInfoTypes.Snapshot;

    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        string device = call.Text("device");
        string? id = call.OptionalText("id"), name = call.OptionalText("name");
        BlockNode node = BlockdevSnapshotInternalSync.FindRoot(call.Context.Graph, device);
        if (id is null && name is null) throw new BlockException(BlockErrorKind.Invalid, "Name or id must be provided");
        BlockGraph.RequireFree(node);
        InternalSnapshot snapshot = InternalSnapshots.Find(node, id, name)
            ?? throw new BlockException(
                BlockErrorKind.NotFound,
                $"Snapshot with id '{id ?? "null"}' and name '{name ?? "null"}' does not exist on device '{device}'");
        await InternalSnapshots.DeleteAsync(node, snapshot.Id, snapshot.Name, cancellationToken).ConfigureAwait(false);
        return snapshot.ToJson();
    }
}
