namespace Varve.Graph;

/// <summary>Operations on snapshots inside images, wherever in the graph the format that has them is. They need the control lock.</summary>
/// <remarks>A node without snapshots of its own passes them on to its only child (<c>raw</c> over qcow2, filters).</remarks>
internal static class InternalSnapshots
{
    /// <summary>The snapshots a node can show, oldest first; null where neither it nor what it passes on to has any.</summary>
    public static IReadOnlyList<InternalSnapshot>? Of(BlockNode node) => Holder(node)?.InternalSnapshots;

    /// <summary>The first snapshot with this name, or null.</summary>
    public static InternalSnapshot? FindByName(BlockNode node, string name) => Of(node)?.FirstOrDefault(s => s.Name == name);

    /// <summary>The first snapshot with this id and name; what is null matches any. At least one is given.</summary>
    public static InternalSnapshot? Find(BlockNode node, string? id, string? name)
        => Of(node)?.FirstOrDefault(s => (id is null || s.Id == id) && (name is null || s.Name == name));

    /// <summary>Keeps the present content as a snapshot (<c>snapshot -c</c>).</summary>
    /// <exception cref="BlockException"><c>Unsupported</c> where there are no snapshots; <c>ReadOnly</c>.</exception>
    public static async ValueTask<InternalSnapshot> CreateAsync(BlockNode node, InternalSnapshot snapshot, CancellationToken cancellationToken = default)
    {
        using DrainedSection drained = await BlockGraph.DrainAsync(node).ConfigureAwait(false);
        BlockNode holder = Holder(node) ?? throw new BlockException(BlockErrorKind.Unsupported, Errno.Text(Errno.EOPNOTSUPP)) { NodeName = node.NodeName };
        if (holder.IsReadOnly) BlockThrow.ReadOnly(holder);
        return await holder.CreateSnapshotAsync(snapshot, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Goes back to a snapshot (<c>snapshot -a</c>).</summary>
    /// <param name="node">Whose users see the old content and size from then on.</param>
    /// <param name="idOrName">An id, else a name.</param>
    /// <param name="cancellationToken">Honoured until the first write.</param>
    public static async ValueTask ApplyAsync(BlockNode node, string idOrName, CancellationToken cancellationToken = default)
    {
        if (node.Bitmaps.Any) throw new BlockException(BlockErrorKind.InUse, "Device has active dirty bitmaps") { NodeName = node.NodeName };
        using DrainedSection drained = await BlockGraph.DrainAsync(node).ConfigureAwait(false);
        BlockNode holder = Holder(node) ?? throw new BlockException(BlockErrorKind.Unsupported, "Block driver does not support snapshots") { NodeName = node.NodeName };
        if (holder.IsReadOnly) BlockThrow.ReadOnly(holder);
        await holder.ApplySnapshotAsync(idOrName, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Gives up a snapshot (<c>snapshot -d</c>).</summary>
    /// <param name="node">Where it is.</param>
    /// <param name="id">Exactly; null: whatever id.</param>
    /// <param name="name">Exactly; null: whatever name.</param>
    /// <param name="cancellationToken">Honoured until the first write.</param>
    public static async ValueTask DeleteAsync(BlockNode node, string? id, string? name, CancellationToken cancellationToken = default)
    {
        using DrainedSection drained = await BlockGraph.DrainAsync(node).ConfigureAwait(false);
        BlockNode holder = Holder(node)
            ?? throw new BlockException(
                BlockErrorKind.Unsupported, $"Block format '{node.Driver.Name}' used by device '' does not support internal snapshot deletion")
            {
                NodeName = node.NodeName,
            };
        if (holder.IsReadOnly) BlockThrow.ReadOnly(holder);
        await holder.DeleteSnapshotAsync(id, name, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Shows a snapshot on a read-only node from now on (<c>convert -l</c>, <c>qemu-nbd -l</c>).</summary>
    /// <param name="node">Opened read-only, for this purpose alone.</param>
    /// <param name="selector">Which.</param>
    /// <param name="cancellationToken">Ends reading.</param>
    /// <exception cref="BlockException">Its message stands behind <c>Failed to load snapshot: </c>.</exception>
    public static async ValueTask LoadAsync(BlockNode node, SnapshotSelector selector, CancellationToken cancellationToken = default)
    {
        if (!node.IsReadOnly) throw new BlockException(BlockErrorKind.Invalid, "Device is not readonly") { NodeName = node.NodeName };
        using DrainedSection drained = await BlockGraph.DrainAsync(node).ConfigureAwait(false);
        if (node.InternalSnapshots is not { } snapshots)
        {
            await node.LoadSnapshotAsync(new InternalSnapshot(), cancellationToken).ConfigureAwait(false);   // says why not
            return;
        }

        InternalSnapshot snapshot = selector.FindIn(snapshots)
            ?? throw new BlockException(BlockErrorKind.NotFound, "Can't find snapshot") { NodeName = node.NodeName };
        await node.LoadSnapshotAsync(snapshot, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The node that keeps snapshots: this one, or the one whose bytes it shows.</summary>
    private static BlockNode? Holder(BlockNode node)
    {
        for (BlockNode? at = node; at is not null; at = OnlyChild(at))
        {
            if (at.InternalSnapshots is not null) return at;
        }

        return null;
    }

    /// <summary>The primary child, where no other child holds data or metadata; null otherwise.</summary>
    private static BlockNode? OnlyChild(BlockNode node)
    {
        const ChildRole Content = ChildRole.Data | ChildRole.Metadata | ChildRole.Filtered;
        return node.PrimaryChild is { } primary && !node.Children.Any(c => !ReferenceEquals(c, primary) && (c.Role & Content) != 0) ? primary.Node : null;
    }
}
