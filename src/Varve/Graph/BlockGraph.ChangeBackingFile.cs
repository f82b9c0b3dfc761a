namespace Varve.Graph;

internal sealed partial class BlockGraph
{
    /// <summary><c>change-backing-file</c>: rewrites the name in an image's header; the graph does not change. Needs <see cref="ControlLock"/>.</summary>
    /// <param name="device">The root node of the chain.</param>
    /// <param name="imageNodeName">The image in that chain whose header is rewritten.</param>
    /// <param name="backingFile">Recorded verbatim.</param>
    /// <param name="cancellationToken">Ends waiting.</param>
    /// <remarks>Recorded as backing format is the image's own format, as the reference does.</remarks>
    /// <exception cref="BlockException">The first check that fails, or the header could not be written; nothing has changed then.</exception>
    public async ValueTask ChangeBackingFileAsync(
        string device, string imageNodeName, string backingFile, CancellationToken cancellationToken = default)
    {
        BlockNode root = FindNode(device)
            ?? throw new BlockException(BlockErrorKind.NotFound, $"Cannot find device='{device}' nor node-name='{device}'");
        if (root.Parents.Any(e => e.Parent is not BlockBackend)) throw new BlockException(BlockErrorKind.Invalid, "Need a root block node");
        BlockNode image = FindNode(imageNodeName)
            ?? throw new BlockException(BlockErrorKind.NotFound, $"Cannot find device='' nor node-name='{imageNodeName}'");
        if (image.SkipFilters().BackingChild is null)
        {
            throw new BlockException(BlockErrorKind.Invalid, "not allowing backing file change on an image without a backing file");
        }

        RequireUnblocked(root);
        if (!IsInChain(root, image))
        {
            throw new BlockException(BlockErrorKind.Invalid, $"'{device}' and image file are not in the same chain");
        }

        bool wasReadOnly = image.IsReadOnly;
        if (wasReadOnly) await SetReadOnlyAsync(image, readOnly: false, cancellationToken).ConfigureAwait(false);
        try
        {
            await image.ChangeBackingFileAsync(backingFile, image.Driver.Name, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            throw new BlockException(e.Kind, $"Could not change backing file to '{backingFile}': {Errno.Text(e.Errno)}", e) { Errno = e.Errno };
        }
        finally
        {
            if (wasReadOnly) await SetReadOnlyAsync(image, readOnly: true, cancellationToken).ConfigureAwait(false);
        }
    }

    private static bool IsInChain(BlockNode top, BlockNode node)
    {
        for (BlockNode? at = top; at is not null; at = at.ChainChild?.Node)
        {
            if (ReferenceEquals(at, node)) return true;
        }

        return false;
    }
}
