using Varve.Graph;

namespace Varve.Filters.CopyOnRead;

// Copying up beside a running guest
//   1. A copy is alone on its clusters: it enters the tracker of the filtered node, where every write is registered while this
//      filter is above it, looks again whether the clusters are still unallocated, reads, and writes. So a guest write is either done
//      before (the clusters are allocated then, and are left alone) or comes after and wins.
//   2. With a bottom node, the links from here down to it are frozen: what lies below the bottom may change, what is copied may not.

/// <summary>The copy-on-read filter: reads through it leave in the filtered image what they found below it.</summary>
internal sealed class CopyOnReadNode(NodeOpening opening) : FilterNode(opening)
{
    private readonly List<BlockChild> _frozen = [];
    private BlockNode? _tracked;
    private BlockNode? _bottom;

    /// <summary>The lowest node that is copied from; null: everything.</summary>
    public BlockNode? Bottom => _bottom;

    public override (BlockPermissions Needed, BlockPermissions Shared) GetChildPermissions(
        string name, ChildRole role, BlockPermissions needed, BlockPermissions shared, bool readOnly)
        => (needed | BlockPermissions.WriteUnchanged, shared);

    public override void OnChildrenChanged()
    {
        base.OnChildrenChanged();
        BlockNode? below = Child?.Node;
        if (ReferenceEquals(below, _tracked)) return;
        _tracked?.StopTracking();
        below?.StartTracking();
        _tracked = below;
    }

    public override ValueTask CloseAsync()
    {
        Unfreeze();
        return default;
    }

    /// <summary>Limits copying to the nodes down to <paramref name="bottom"/>, and freezes the links to it.</summary>
    /// <exception cref="BlockException">A link cannot be frozen, or the node is not below this one; nothing is frozen.</exception>
    internal void SetBottom(BlockNode bottom)
    {
        List<BlockChild> links = [];
        for (BlockChild? link = Child; link is not null; link = link.Node.ChainChild)
        {
            links.Add(link);
            if (ReferenceEquals(link.Node, bottom)) break;
        }

        if (!ReferenceEquals(links[^1].Node, bottom))
        {
            throw new BlockException(
                BlockErrorKind.Invalid, $"'{bottom.NodeName}' is not in the backing chain of '{Below.NodeName}'");
        }

        foreach (BlockChild link in links) link.FreezeCount++;
        _frozen.AddRange(links);
        _bottom = bottom;
    }

    /// <summary>Gives the links free, before the filter is taken out.</summary>
    internal void Unfreeze()
    {
        foreach (BlockChild link in _frozen) link.FreezeCount--;
        _frozen.Clear();
    }

    /// <summary>Copies a range that the filtered node does not hold into it. What is held by then is left alone.</summary>
    /// <exception cref="BlockException">Reading from below or writing into the filtered node failed.</exception>
    public ValueTask PrefetchAsync(long offset, long length, CancellationToken cancellationToken)
        => Below.CopyUpAsync(offset, length, cancellationToken);

    protected override async ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        long end = offset + buffer.Length;
        for (long at = offset; at < end;)
        {
            (bool isBelow, long length) = await FindBelowAsync(at, end - at, cancellationToken).ConfigureAwait(false);
            if (isBelow) await TryCopyUpAsync(at, length, cancellationToken).ConfigureAwait(false);
            await Below.ReadAsync(at, buffer.Slice((int)(at - offset), (int)length), cancellationToken).ConfigureAwait(false);
            at += length;
        }
    }

    /// <summary>Whether a run is to be copied: not held by the filtered node, but by one below it that counts.</summary>
    private async ValueTask<(bool IsBelow, long Length)> FindBelowAsync(long offset, long length, CancellationToken cancellationToken)
    {
        BlockNode top = Below.SkipFilters();
        BlockRun held = await ChainStatus.IsAllocatedAsync(top, offset, length, cancellationToken).ConfigureAwait(false);
        if (held.IsAllocated || _bottom is null) return (!held.IsAllocated, held.Length);
        if (ReferenceEquals(top, _bottom)) return (false, held.Length);
        BlockRun below = await ChainStatus.AboveAsync(top.BackingChild?.Node, _bottom, offset, held.Length, precise: false, cancellationToken)
            .ConfigureAwait(false);
        return (below.IsAllocated, below.Length);
    }

    private async ValueTask TryCopyUpAsync(long offset, long length, CancellationToken cancellationToken)
    {
        try
        {
            await Below.CopyUpAsync(offset, length, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException)
        {
            // Differs from QEMU: the guest asked to read, and can be answered from below whether the copy was stored or not. A read
            // error shows again in the read that follows; a job that wants the copy meets the write error itself.
        }
    }
}
