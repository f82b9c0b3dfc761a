using System.Text.Json.Nodes;
using Varve.Bitmaps;
using Varve.Graph;
using Varve.Options;
using Varve.Qmp.Schema;
using Varve.Qmp.Server;
using static Varve.Options.OptionMember;

namespace Varve.Qmp.Commands;

// A transaction
//   1. No request runs meanwhile, so that all actions happen at one moment of the guest.
//   2. Actions are made in order; each that is made says how it is taken back, and may leave what cannot be taken back for the end.
//   3. When one fails, those before it are taken back, last first.

/// <summary><c>transaction</c>: several actions, all or none.</summary>
internal sealed class Transaction() : QmpCommand("transaction", Required("actions", s_action.List), Optional("properties", s_properties))
{
    private static readonly ObjectType s_action = new(
        "TransactionAction",
        [
            Required("type", new EnumType("TransactionActionKind",
            [
                "abort", "block-dirty-bitmap-add", "block-dirty-bitmap-remove", "block-dirty-bitmap-clear", "block-dirty-bitmap-enable",
                "block-dirty-bitmap-disable", "block-dirty-bitmap-merge", "blockdev-snapshot-internal-sync",
            ])),
        ],
        "type",
        new Dictionary<string, ObjectType>
        {
            ["abort"] = QmpTypes.Wrapper(new ObjectType("Abort", [])),
            ["block-dirty-bitmap-add"] = QmpTypes.Wrapper(BitmapTypes.Add),
            ["block-dirty-bitmap-remove"] = QmpTypes.Wrapper(BitmapTypes.Named),
            ["block-dirty-bitmap-clear"] = QmpTypes.Wrapper(BitmapTypes.Named),
            ["block-dirty-bitmap-enable"] = QmpTypes.Wrapper(BitmapTypes.Named),
            ["block-dirty-bitmap-disable"] = QmpTypes.Wrapper(BitmapTypes.Named),
            ["block-dirty-bitmap-merge"] = QmpTypes.Wrapper(BitmapTypes.Merge),
            ["blockdev-snapshot-internal-sync"] = QmpTypes.Wrapper(BlockdevSnapshotInternalSync.Type),
        });

    private static readonly ObjectType s_properties = new("TransactionProperties",
        [Optional("completion-mode", new EnumType("ActionCompletionMode", ["individual", "grouped"]))]);

    /// <summary>An action that was made: how it is taken back, and what is left for the end.</summary>
    private sealed record Made(Func<ValueTask> Undo, Func<ValueTask>? Finish = null);

    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        BlockGraph graph = call.Context.Graph;
        bool isGrouped = (string?)call.Arguments["properties"]?["completion-mode"] == "grouped";
        var made = new Stack<Made>();
        using DrainedSection drained = await BlockGraph.DrainAsync(graph.Nodes).ConfigureAwait(false);
        try
        {
            foreach (JsonNode? action in (JsonArray)call.Arguments["actions"]!)
            {
                string type = (string)action!["type"]!;
                if (isGrouped)
                {
                    throw new BlockException(
                        BlockErrorKind.Invalid, $"Action '{type}' does not support transaction property completion-mode = grouped");
                }

                made.Push(await MakeAsync(graph, type, (JsonObject)action["data"]!, cancellationToken).ConfigureAwait(false));
            }
        }
        catch (BlockException)
        {
            while (made.TryPop(out Made? last)) await last.Undo().ConfigureAwait(false);
            throw;
        }

        foreach (Made action in made.Reverse())
        {
            if (action.Finish is not null) await action.Finish().ConfigureAwait(false);
        }

        return null;
    }

    private static async ValueTask<Made> MakeAsync(BlockGraph graph, string type, JsonObject data, CancellationToken cancellationToken)
    {
        if (type == "abort") throw new BlockException(BlockErrorKind.Invalid, "Transaction aborted using Abort action");
        if (type == "blockdev-snapshot-internal-sync")
        {
            (BlockNode taken, InternalSnapshot snapshot) =
                await BlockdevSnapshotInternalSync.TakeAsync(graph, data, cancellationToken).ConfigureAwait(false);
            return new Made(() => InternalSnapshots.DeleteAsync(taken, snapshot.Id, snapshot.Name));
        }

        BlockNode node = NodeLookup.ByName(graph, (string)data["node"]!);
        string name = (string)(data["name"] ?? data["target"])!;
        switch (type)
        {
            case "block-dirty-bitmap-add":
                await BitmapOperations.AddAsync(
                    node, name, (long?)data["granularity"], (bool?)data["persistent"] ?? false, (bool?)data["disabled"] ?? false, cancellationToken)
                    .ConfigureAwait(false);
                return new Made(() => BitmapOperations.RemoveAsync(node, name));
            case "block-dirty-bitmap-remove":
                DirtyBitmap removed = BitmapOperations.FindRemovable(node, name);
                removed.Users++;     // whatever comes later in the transaction finds it gone
                return new Made(
                    () =>
                    {
                        removed.Users--;
                        return default;
                    },
                    () =>
                    {
                        removed.Users--;
                        return BitmapOperations.RemoveAsync(node, name);
                    });
        }

        DirtyBitmap bitmap = BitmapOperations.Find(node, name);
        DirtyBitmap before = bitmap.Copy();
        bool wasEnabled = bitmap.IsEnabled;
        switch (type)
        {
            case "block-dirty-bitmap-clear":
                await BitmapOperations.ClearAsync(node, name, cancellationToken).ConfigureAwait(false);
                break;
            case "block-dirty-bitmap-enable":
                await BitmapOperations.EnableAsync(node, name, cancellationToken).ConfigureAwait(false);
                break;
            case "block-dirty-bitmap-disable":
                await BitmapOperations.DisableAsync(node, name, cancellationToken).ConfigureAwait(false);
                break;
            default:
                await BitmapOperations.MergeAsync(node, name, BitmapTypes.SourcesOf(graph, node, data), cancellationToken).ConfigureAwait(false);
                break;
        }

        return new Made(() =>
        {
            bitmap.IsEnabled = wasEnabled;
            bitmap.Clear();
            bitmap.Merge(before);
            node.Bitmaps.OnChanged();
            return default;
        });
    }
}
