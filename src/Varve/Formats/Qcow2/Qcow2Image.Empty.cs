using System.Buffers.Binary;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

// Starting over: what a power loss may leave of an image that holds nothing but its disk
//   1. Everything is written back and the dirty bit set, durable: from here on whoever opens the image counts anew.
//   2. The L1 table is zeroed, durable: the image is empty.
//   3. The clusters behind the header become a refcount table, a refcount block and an L1 table, all of them zeros, durable. Nothing
//      that lay there is linked any more, but for the old refcount table, which need not be right.
//   4. The header names the new tables, durable.
//   5. The refcount block counts, durable; the table names it, durable; the dirty bit is cleared and the file cut.
// What fails from 2 on leaves the image to the next opening, which repairs it: nothing else is written here.

/// <content>Giving up everything the image holds, once it is held elsewhere.</content>
internal sealed partial class Qcow2Image
{
    private const int NewRefcountTable = 1, NewRefcountBlock = 2, NewL1Table = 3;

    /// <inheritdoc/>
    public override bool CanBecomeEmpty => true;

    /// <inheritdoc/>
    public override async ValueTask MakeEmptyAsync(CancellationToken cancellationToken)
    {
        if (_isUnusable) throw Unusable();
        await PrepareForWritingAsync(cancellationToken).ConfigureAwait(false);
        await SettleTablesAsync(cancellationToken).ConfigureAwait(false);
        if (CanStartOver()) await StartOverAsync(cancellationToken).ConfigureAwait(false);
        else await GiveUpBehindAsync(length: 0, cancellationToken).ConfigureAwait(false);
    }

    private int L1Clusters => (int)Align.Count(_header.L1Size * (long)L1EntryBytes, ClusterSize);

    /// <summary>Whether nothing but the active disk is in the image, and one refcount block counts what an empty one has.</summary>
    private bool CanStartOver()
    {
        if (_header.Version < 3 || HasDataFile || IsEncrypted || _snapshots.Count > 0 || _directory.Count > 0) return false;
        if (NewL1Table + L1Clusters > 1L << RefcountBlock.EntryBits(_header.ClusterBits, _header.RefcountOrder)) return false;
        lock (TableLock) return Reclaim.IsEmpty && _reservations.Count == 0;
    }

    private async ValueTask StartOverAsync(CancellationToken cancellationToken)
    {
        using AsyncLock.Holder held = await _allocator.Mutex.EnterAsync().ConfigureAwait(false);
        await UpdateHeaderAsync(h => h with { Incompatible = h.Incompatible | Qcow2Incompatible.Dirty }, cancellationToken).ConfigureAwait(false);
        _isUnusable = true;      // until all of it is done
        await ZeroTablesAsync().ConfigureAwait(false);
        await UpdateHeaderAsync(
            h => h with
            {
                RefcountTable = new((long)NewRefcountTable << h.ClusterBits),
                RefcountTableClusters = 1,
                L1Table = h.L1Size == 0 ? HostOffset.None : new((long)NewL1Table << h.ClusterBits),
            }, CancellationToken.None).ConfigureAwait(false);
        await CountNewTablesAsync().ConfigureAwait(false);
        await ReadTablesAsync(CancellationToken.None).ConfigureAwait(false);
        _isUnusable = false;
        await UpdateHeaderAsync(WithoutDirty, CancellationToken.None).ConfigureAwait(false);
        await TruncateFileAsync(CancellationToken.None).ConfigureAwait(false);
    }

    private async ValueTask ZeroTablesAsync()
    {
        BlockNode file = _file.Node;
        await file.DebugEventAsync(BlkdebugEvent.L1Update).ConfigureAwait(false);
        await ZeroClustersAsync(_header.L1Table.Value, L1Clusters).ConfigureAwait(false);
        await file.DebugEventAsync(BlkdebugEvent.EmptyImagePrepare).ConfigureAwait(false);
        await ZeroClustersAsync(ClusterSize, NewL1Table - NewRefcountTable + L1Clusters).ConfigureAwait(false);

        async ValueTask ZeroClustersAsync(long host, int count)
        {
            if (count > 0) await file.WriteZeroesAsync(host, (long)count << _header.ClusterBits, ZeroFlags.None, CancellationToken.None).ConfigureAwait(false);
            await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        }
    }

    private async ValueTask CountNewTablesAsync()
    {
        BlockNode file = _file.Node;
        await file.DebugEventAsync(BlkdebugEvent.ReftableUpdate).ConfigureAwait(false);
        await file.DebugEventAsync(BlkdebugEvent.RefblockAlloc).ConfigureAwait(false);
        using IOBuffer cluster = IOBuffer.Rent(ClusterSize);
        cluster.Span.Clear();
        var counts = new RefcountBlock(cluster.Span, _header.RefcountOrder);
        for (int i = 0; i < NewL1Table + L1Clusters; i++) counts[i] = 1;
        long block = (long)NewRefcountBlock << _header.ClusterBits;
        await file.WriteAsync(block, cluster.Memory, WriteFlags.None, CancellationToken.None).ConfigureAwait(false);
        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        BinaryPrimitives.WriteUInt64BigEndian(cluster.Span, RefcountTableEntry.Of(new(block)).Raw);
        cluster.Span[L1EntryBytes..SectorBytes].Clear();
        await file.WriteAsync((long)NewRefcountTable << _header.ClusterBits, cluster.Memory[..SectorBytes], WriteFlags.None, CancellationToken.None)
            .ConfigureAwait(false);
        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
    }
}
