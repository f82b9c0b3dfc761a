using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Graph;

/// <content>What management asks for: nodes added and removed, reopened.</content>
internal sealed partial class BlockGraph
{
    /// <summary>Opens a node for the monitor (<c>blockdev-add</c>, <c>--blockdev</c>). Needs <see cref="ControlLock"/>.</summary>
    /// <param name="options">Checked against <see cref="BlockdevSchema.Options"/>; not changed.</param>
    /// <param name="context">Whose names may be followed.</param>
    /// <param name="cancellationToken">Ends the opening.</param>
    public async ValueTask<BlockNode> AddNodeAsync(JsonObject options, OpenContext context, CancellationToken cancellationToken = default)
    {
        if (!options.ContainsKey("node-name"))
        {
            throw new BlockException(BlockErrorKind.Invalid, "'node-name' must be specified for the root node");
        }

        BlockNode node = await OpenNodeAsync(options, context, inherited: null, cancellationToken).ConfigureAwait(false);
        node.IsMonitorOwned = true;
        return node;
    }

    /// <summary>Gives up the monitor's hold on a node (<c>blockdev-del</c>), which closes it. Needs <see cref="ControlLock"/>.</summary>
    /// <exception cref="BlockException">Somebody else uses the node, or the monitor never held it.</exception>
    public async ValueTask DeleteNodeAsync(string name)
    {
        BlockNode node = FindNode(name)
            ?? throw new BlockException(BlockErrorKind.NotFound, $"Failed to find node with node-name='{name}'") { Errno = Errno.EINVAL };
        if (node.Parents.Any(e => e.Parent is BlockBackend)) throw Busy($"Node {name} is in use");
        RequireFree(node);
        if (!node.IsMonitorOwned) throw Busy($"Node {name} is not owned by the monitor");
        if (node.Parents.Count > 0 || node.ExplicitReferences > 1) throw Busy($"Block device {name} is in use");
        node.IsMonitorOwned = false;
        await ReleaseAsync(node).ConfigureAwait(false);
    }

    /// <summary>Closes every node the monitor holds and nobody else uses; what still is in use stays, without its owner. Needs
    /// <see cref="ControlLock"/>.</summary>
    public async ValueTask ReleaseMonitorNodesAsync()
    {
        foreach (BlockNode node in Nodes.Where(n => n.IsMonitorOwned).ToList())
        {
            node.IsMonitorOwned = false;
            node.ExplicitReferences--;
        }

        await CloseUnreferencedAsync().ConfigureAwait(false);
    }

    /// <summary>Reopens a node, and what inherits from it, read-only or read-write. Needs <see cref="ControlLock"/>.</summary>
    /// <exception cref="BlockException">A user or a file does not allow it; the node is as before.</exception>
    public async ValueTask SetReadOnlyAsync(BlockNode node, bool readOnly, CancellationToken cancellationToken = default)
    {
        if (node.IsReadOnly == readOnly) return;
        using DrainedSection drained = await DrainAsync(node).ConfigureAwait(false);
        if (readOnly) await node.FlushAsync(cancellationToken).ConfigureAwait(false);   // while its metadata can still be written
        var change = new GraphTransaction(this);
        change.SetReadOnly(node, readOnly);
        await change.PrepareAsync(cancellationToken).ConfigureAwait(false);
        change.Commit();
    }

    /// <summary>Refuses an operation on a node that a job has reserved.</summary>
    public static void RequireUnblocked(BlockNode node)
    {
        if (node.OperationBlockers is [.., { } reason]) throw Busy($"Node '{node.NodeName}' is busy: {reason}");
    }

    /// <summary>Refuses an operation on a node that a job has reserved or that an image shows through: what may not happen below.</summary>
    public static void RequireFree(BlockNode node)
    {
        if (BlockerOf(node) is { } reason) throw Busy($"Node '{node.NodeName}' is busy: {reason}");
    }

    /// <summary>Why most operations on a node are refused; null when they are not.</summary>
    public static string? BlockerOf(BlockNode node)
    {
        if (node.OperationBlockers is [.., { } reason]) return reason;
        return node.Parents.LastOrDefault(e => (e.Role & ChildRole.Cow) != 0)?.Parent is BlockNode overlay
            ? $"node is used as backing hd of '{overlay.NodeName}'"
            : null;
    }

    private static BlockException Busy(string message) => new(BlockErrorKind.InUse, message);
}
