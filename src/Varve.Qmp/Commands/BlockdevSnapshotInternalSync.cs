using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;
using Varve.Qmp.Server;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>blockdev-snapshot-internal-sync</c>: keeps the present content as a snapshot inside the image.</summary>
internal sealed class BlockdevSnapshotInternalSync() : QmpCommand("blockdev-snapshot-internal-sync", Type)
{
    /// <summary>The type of the arguments.</summary>
    public static ObjectType Type { get; } = new("BlockdevSnapshotInternal", [Required("device", Str), Required("name", Str)]);

    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        await TakeAsync(call.Context.Graph, call.Arguments, cancellationToken).ConfigureAwait(false);
        return null;
    }

    /// <summary>Does it, of checked arguments.</summary>
    public static async ValueTask<(BlockNode Node, InternalSnapshot Snapshot)> TakeAsync(
        BlockGraph graph, JsonObject arguments, CancellationToken cancellationToken)
    {
        string device = (string)arguments["device"]!, name = (string)arguments["name"]!;
        BlockNode node = FindRoot(graph, device);
        BlockGraph.RequireFree(node);
        if (node.IsReadOnly) throw Refused($"Device '{device}' is read only");
        if (InternalSnapshots.Of(node) is not { } snapshots)
        {
            throw Refused($"Block format '{node.Driver.Name}' used by device '{device}' does not support internal snapshots");
        }

        if (name.Length == 0) throw Refused("Name is empty");
        if (snapshots.Any(s => s.Name == name)) throw Refused($"Snapshot with name '{name}' already exists on device '{device}'");
        DateTimeOffset now = graph.Time.GetUtcNow();
        long nanoseconds = now.Ticks % TimeSpan.TicksPerSecond * TimeSpan.NanosecondsPerTick;
        try
        {
            InternalSnapshot taken = await InternalSnapshots.CreateAsync(
                node,
                new InternalSnapshot
                {
                    Name = name,
                    DateSeconds = now.ToUnixTimeSeconds(),
                    DateNanoseconds = (int)nanoseconds,
                    VmClockNanoseconds = now.ToUnixTimeSeconds() * 1_000_000_000 + nanoseconds,   // there is no machine: the clock of the host
                },
                cancellationToken).ConfigureAwait(false);
            return (node, taken);
        }
        catch (BlockException e)
        {
            throw new BlockException(e.Kind, $"Failed to create snapshot '{name}' on device '{device}': {Errno.Text(e.Errno)}", e) { Errno = e.Errno };
        }
    }

    /// <summary>The node at the top of a chain.</summary>
    public static BlockNode FindRoot(BlockGraph graph, string device)
    {
        BlockNode node = NodeLookup.ByName(graph, device);
        return node.Parents.Any(e => e.Parent is not BlockBackend) ? throw Refused("Need a root block node") : node;
    }

    private static BlockException Refused(string message) => new(BlockErrorKind.Invalid, message);
}
