using System.Text.Json.Nodes;
using Varve.Creation;

namespace Varve.Graph;

/// <summary>Where the overlay of a snapshot comes from and which backing name it records (QMP <c>NewImageMode</c>).</summary>
internal enum NewImageMode
{
    /// <summary>It exists already.</summary>
    Existing,

    /// <summary>It is created, and names its backing image as the backing node is named.</summary>
    AbsolutePaths,
}

/// <content>External snapshots: a new image on top, the old one read-only below.</content>
internal sealed partial class BlockGraph
{
    /// <summary>Puts an opened image without a backing image on top of a node, under running I/O. Needs <see cref="ControlLock"/>.</summary>
    /// <param name="node">Its users move to the overlay; afterwards it is read-only, unless somebody else writes to it.</param>
    /// <param name="overlay">From now on takes the writes.</param>
    /// <param name="cancellationToken">Ends it before the change; the change itself is not interrupted.</param>
    /// <exception cref="BlockException">The overlay cannot be one, is in use, or permissions conflict: nothing has changed.</exception>
    public async ValueTask SnapshotAsync(BlockNode node, BlockNode overlay, CancellationToken cancellationToken = default)
    {
        RequireFree(node);
        if ((overlay.CumulativePermissions & BlockPermissions.ConsistentRead) != 0) throw Busy("The overlay is already in use");
        RequireFree(overlay);
        if (overlay.Driver.IsFilter) throw Unsuitable("Filters cannot be used as overlays");
        if (overlay.BackingChild is not null) throw Unsuitable("The overlay already has a backing image");
        if (!overlay.Driver.SupportsBacking) throw Unsuitable("The overlay does not support backing images");

        // From here to the change no request runs: what the old node got is on disk before it stops taking writes.
        using DrainedSection drained = await DrainAsync(node, overlay).ConfigureAwait(false);
        if (!node.IsReadOnly) await node.FlushAsync(cancellationToken).ConfigureAwait(false);
        GraphTransaction change = await PrepareSnapshotAsync(node, overlay, cancellationToken).ConfigureAwait(false);
        change.Commit();
    }

    /// <summary>Opens (or creates and opens) an image by name and puts it on top of a node (<c>blockdev-snapshot-sync</c>).</summary>
    /// <param name="node">Its users move to the new image.</param>
    /// <param name="filename">The new image.</param>
    /// <param name="nodeName">The new image's node name; null: generated.</param>
    /// <param name="format">The new image's format.</param>
    /// <param name="mode">Whether to create it.</param>
    /// <param name="context">Whose names may be followed.</param>
    /// <param name="cancellationToken">Ends it before the change.</param>
    /// <remarks>Takes <see cref="ControlLock"/> itself, not while the image is created.</remarks>
    public async ValueTask SnapshotSyncAsync(
        BlockNode node, string filename, string? nodeName, string format, NewImageMode mode, OpenContext context, CancellationToken cancellationToken)
    {
        NodeSettings settings;
        CreationRequest create;
        using (await ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false))
        {
            RequireFree(node);
            if (nodeName is not null && FindNode(nodeName) is not null) throw Busy("New overlay node-name already in use");
            BlockDriver driver = Drivers.Find(format) ?? throw new BlockException(BlockErrorKind.Invalid, $"Unknown file format '{format}'");
            if (mode != NewImageMode.Existing && !driver.SupportsBacking)
            {
                throw new BlockException(BlockErrorKind.Unsupported, $"Backing file not supported for file format '{format}'");
            }

            BlockNode recorded = node.SkipImplicitFilters();
            settings = recorded.Settings with { ReadOnly = false, InheritsReadOnly = false, ForceShare = false };
            create = new CreationRequest
            {
                Filename = filename,
                Format = format,
                Size = node.Length,
                BackingFile = recorded.Filename,
                BackingFormat = recorded.Driver.Name,
                IsBackingTrusted = true,   // it is open here
            };
        }

        if (mode != NewImageMode.Existing)
        {
            await ImageCreator.CreateAsync(this, create, context, cancellationToken: cancellationToken).ConfigureAwait(false);
        }

        using (await ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false))
        {
            if (!node.IsOpened) throw new BlockException(BlockErrorKind.NotFound, $"Node '{node.NodeName}' was closed meanwhile");
            var options = new JsonObject { ["driver"] = format, ["backing"] = null };
            if (nodeName is not null) options["node-name"] = nodeName;
            BlockNode overlay = await OpenImageAsync(filename, options, context, settings, cancellationToken).ConfigureAwait(false);
            try
            {
                await SnapshotAsync(node, overlay, cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                await ReleaseAsync(overlay).ConfigureAwait(false);
            }
        }
    }

    /// <summary>The change with the old node turned read-only; where another user writes to it, without.</summary>
    private async ValueTask<GraphTransaction> PrepareSnapshotAsync(BlockNode node, BlockNode overlay, CancellationToken cancellationToken)
    {
        if (!node.IsReadOnly)
        {
            try
            {
                GraphTransaction change = StartSnapshot(node, overlay);
                change.SetReadOnly(node, true);
                await change.PrepareAsync(cancellationToken).ConfigureAwait(false);
                return change;
            }
            catch (BlockException e) when (e.Kind is BlockErrorKind.ReadOnly or BlockErrorKind.InUse)
            {
                // Tried again below: a snapshot does not need the old node read-only, it only should be.
            }
        }

        GraphTransaction plain = StartSnapshot(node, overlay);
        await plain.PrepareAsync(cancellationToken).ConfigureAwait(false);
        return plain;
    }

    private GraphTransaction StartSnapshot(BlockNode node, BlockNode overlay)
    {
        var change = new GraphTransaction(this);
        change.ReplaceNode(node, overlay, edge => edge.Parent is BlockBackend || (edge.Parent is BlockNode parent && !overlay.Reaches(parent)));
        change.Attach(overlay, "backing", ChildRole.Cow, node);
        return change;
    }

    private static BlockException Unsuitable(string message) => new(BlockErrorKind.Invalid, message);
}
