using Varve.Formats.Qcow2.Metadata;

namespace Varve.Formats.Qcow2;

// Compressed clusters lie one behind the other, byte by byte, across the borders of host clusters. Each host cluster that one of them
// touches counts one reference for it. The place behind the last one is remembered until its host cluster is free again.

/// <content>Room for compressed clusters.</content>
internal sealed partial class ClusterAllocator
{
    private long _nextPacked;   // where the next compressed cluster may begin, inside a host cluster that holds others; 0: nowhere

    /// <summary>The last host cluster of compressed ones is not full.</summary>
    public bool HasPacked => _nextPacked != 0;

    /// <summary>Sets bytes aside for a compressed cluster. Needs <see cref="Mutex"/>.</summary>
    /// <param name="size">Less than a cluster.</param>
    /// <param name="cancellationToken">Ends waiting.</param>
    public async ValueTask<CompressedExtent> AllocatePackedAsync(int size, CancellationToken cancellationToken)
    {
        await LowerReadyAsync(cancellationToken).ConfigureAwait(false);
        if (RoomForPacked() >= size && await IsCountableAsync(cancellationToken).ConfigureAwait(false))
        {
            await ChangeRefcountsAsync(_nextPacked >> _clusterBits, 1, +1, cancellationToken).ConfigureAwait(false);
            return TakePacked(_nextPacked, size);
        }

        Run run = await AllocateAsync(1, "compressed cluster", cancellationToken).ConfigureAwait(false);
        try
        {
            CheckPackedOffset(run.Host + size);
            bool continues = RoomForPacked() is > 0 and var room && _nextPacked + room == run.Host
                && await IsCountableAsync(cancellationToken).ConfigureAwait(false);
            if (!continues) return TakePacked(run.Host, size);
            await ChangeRefcountsAsync(_nextPacked >> _clusterBits, 1, +1, cancellationToken).ConfigureAwait(false);
            return TakePacked(_nextPacked, size);
        }
        catch
        {
            await FreeUnlinkedAsync(run).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Takes back bytes that were set aside and never linked. Needs <see cref="Mutex"/>.</summary>
    public ValueTask FreePackedAsync(CompressedExtent extent)
    {
        long first = extent.Host.Value >> _clusterBits, last = (extent.Host.Value + extent.MaxLength - 1) >> _clusterBits;
        return ChangeRefcountsAsync(first, (int)(last - first + 1), -1, CancellationToken.None);
    }

    private long RoomForPacked() => _nextPacked == 0 ? 0 : ClusterSize - (_nextPacked & (ClusterSize - 1));

    /// <summary>Whether the host cluster at <see cref="_nextPacked"/> can count one more reference: a narrow refcount is soon full.</summary>
    private async ValueTask<bool> IsCountableAsync(CancellationToken cancellationToken)
        => await GetRefcountAsync(_nextPacked, cancellationToken).ConfigureAwait(false) is > 0 and var refcount && refcount < MaxRefcount;

    private CompressedExtent TakePacked(long host, int size)
    {
        long end = host + size;
        _nextPacked = Align.Is(end, ClusterSize) ? 0 : end;
        return new CompressedExtent(new(host), size);
    }

    /// <summary>Large clusters leave few bits for the offset: qcow2 specification, "Compressed Clusters Descriptor".</summary>
    private void CheckPackedOffset(long end)
    {
        if (end > 1L << L2Entry.CompressedOffsetBits(_clusterBits)) throw new BlockException(BlockErrorKind.TooLarge, Errno.Text(Errno.EFBIG)) { NodeName = _image.NodeName };
    }
}
