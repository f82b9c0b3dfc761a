using Varve.Graph;

namespace Varve.Filters.Quorum;

/// <summary>Adds children to an open quorum, and takes them away (<c>x-blockdev-change</c>). Needs the control lock.</summary>
internal static class QuorumChildren
{
    /// <summary>Adds a node that holds a copy of the disk; that it is one, the caller answers for.</summary>
    /// <exception cref="BlockException">The parent takes no children, or permissions conflict.</exception>
    public static async ValueTask AddAsync(BlockNode parent, BlockNode child, CancellationToken cancellationToken)
    {
        if (parent is not QuorumNode quorum)
        {
            throw new BlockException(BlockErrorKind.Unsupported, $"The node {parent.NodeName} does not support adding a child");
        }

        if (quorum.Rules.Verifies) throw new BlockException(BlockErrorKind.Invalid, "Cannot add a child to a quorum in blkverify mode");
        int index = 0;
        while (quorum.FindChild(QuorumDriver.ChildName(index)) is not null) index++;
        var change = new GraphTransaction(quorum.Graph);
        change.Attach(quorum, QuorumDriver.ChildName(index), QuorumNode.ChildRoles, child);
        await change.PrepareAsync(cancellationToken).ConfigureAwait(false);
        await change.CommitAsync().ConfigureAwait(false);
    }

    /// <summary>Takes a child away.</summary>
    /// <exception cref="BlockException">There is no such child, or too few would be left.</exception>
    public static async ValueTask RemoveAsync(BlockNode parent, string childName, CancellationToken cancellationToken)
    {
        BlockChild child = parent.FindChild(childName)
            ?? throw new BlockException(BlockErrorKind.Invalid, $"Node '{parent.NodeName}' does not have child '{childName}'");
        if (parent is not QuorumNode quorum)
        {
            throw new BlockException(BlockErrorKind.Unsupported, $"The node {parent.NodeName} does not support removing a child");
        }

        if (quorum.Children.Count <= quorum.Rules.Threshold)
        {
            throw new BlockException(
                BlockErrorKind.Invalid,
                $"The number of children cannot be lower than the vote threshold {quorum.Rules.Threshold}");
        }

        var change = new GraphTransaction(quorum.Graph);
        change.Detach(child);
        await change.PrepareAsync(cancellationToken).ConfigureAwait(false);
        await change.CommitAsync().ConfigureAwait(false);
    }
}
