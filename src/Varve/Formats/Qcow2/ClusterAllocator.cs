using System.Diagnostics;
using System.Runtime.CompilerServices;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

// Refcounts: what holds on disk at every instant, without lazy refcounts
//   1. A cluster's refcount is at least its number of references: too high is a harmless leak, too low loses data.
//   2. So: raise and flush, then link. Unlink and flush, then lower. A refcount in memory is lowered only when the unlinking is
//      durable (see Reclaim), hence refcount blocks may be written at any time; what links clusters waits for them
//      (see Qcow2Image.Writeback.cs).
//   3. A refcount block is durable before the refcount table names it, and the table before anything that counts in the block
//      is linked. A refcount table that moves is durable, with the blocks that count itself, before the header names it.
//   4. The free-cluster hint may lag but never skips a free cluster.
// With lazy refcounts 1 to 3 hold only while the image is closed: the dirty bit says that refcounts have to be rebuilt.

/// <summary>Hands out host clusters and takes them back: the refcount table, its blocks, and where free clusters may be found.</summary>
/// <remarks>Everything that changes refcounts holds <see cref="Mutex"/>; bytes of blocks change under the table lock besides.</remarks>
internal sealed partial class ClusterAllocator
{
    private readonly Qcow2Image _image;
    private readonly int _clusterBits, _refcountOrder, _blockBits;
    private readonly TableCache _blocks;
    private ResidentTable _table;
    private long _hint;         // no cluster below this index is free
    private long _highWater;    // bytes; what lies at or above has never been written
    private long _handedOut;    // bytes, since everything was durable

    public ClusterAllocator(Qcow2Image image, ResidentTable table, TableCache blocks)
    {
        _image = image;
        _clusterBits = image.Header.ClusterBits;
        _refcountOrder = image.Header.RefcountOrder;
        _blockBits = RefcountBlock.EntryBits(_clusterBits, _refcountOrder);
        _table = table;
        _blocks = blocks;
        _highWater = Align.Up(image.File.Node.Length, 1L << _clusterBits);
    }

    /// <summary>Held while clusters are allocated, linked tables change or refcounts are lowered; not while guest data is written.</summary>
    public AsyncLock Mutex { get; } = new();

    /// <summary>Bytes handed out since the last flush, beyond which a new refcount block waits for the next.</summary>
    internal long MaxFlushedWithBlock { get; set; } = 1 << 20;

    public ResidentTable Table => _table;

    public TableCache Blocks => _blocks;

    private int ClusterSize => 1 << _clusterBits;

    private ulong MaxRefcount => RefcountBlock.MaxRefcount(_refcountOrder);

    /// <summary>A run of clusters handed out.</summary>
    /// <param name="Host">Where it begins.</param>
    /// <param name="Count">Clusters.</param>
    /// <param name="IsFresh">The clusters lie beyond what the file ever held: they read as zeros.</param>
    public readonly record struct Run(long Host, int Count, bool IsFresh);

    /// <summary>Allocates up to <paramref name="wanted"/> clusters that follow each other. Needs <see cref="Mutex"/>.</summary>
    /// <param name="wanted">At least 1.</param>
    /// <param name="purpose">How errors name what is allocated.</param>
    /// <param name="cancellationToken">Ends waiting.</param>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    public async ValueTask<Run> AllocateAsync(int wanted, string purpose, CancellationToken cancellationToken)
    {
        await LowerReadyAsync(cancellationToken).ConfigureAwait(false);
        await _image.File.Node.DebugEventAsync(BlkdebugEvent.ClusterAlloc).ConfigureAwait(false);
        while (true)
        {
            int tableIndex = await ReachAsync(_hint, cancellationToken).ConfigureAwait(false);
            if (!HasBlock(tableIndex))
            {
                // Behind the run that is about to be taken, which so keeps its place and the image its order.
                long last = (((long)tableIndex + 1) << _blockBits) - 1;
                await CreateBlockAsync(tableIndex, Math.Min(_hint + wanted, last), cancellationToken).ConfigureAwait(false);
                continue;
            }

            TableSlice block = await GetBlockPinnedAsync(tableIndex, cancellationToken).ConfigureAwait(false);
            try
            {
                int first = FindFree(block, (int)(_hint & ((1L << _blockBits) - 1)), wanted, out int count);
                long cluster = ((long)tableIndex << _blockBits) + first;
                if (count == 0)
                {
                    _hint = ((long)tableIndex + 1) << _blockBits;
                    continue;
                }

                await CheckAllocationAsync(cluster, count, purpose, cancellationToken).ConfigureAwait(false);
                await AnnounceRaiseAsync().ConfigureAwait(false);
                _hint = cluster + count;
                SetRefcounts(block, first, count, 1);
                return TakeRun(cluster, count);
            }
            finally
            {
                _blocks.Unpin(block);
            }
        }
    }

    /// <summary>Allocates exactly <paramref name="count"/> clusters that follow each other, for a table. Needs <see cref="Mutex"/>.</summary>
    public async ValueTask<Run> AllocateContiguousAsync(int count, string purpose, CancellationToken cancellationToken)
    {
        await LowerReadyAsync(cancellationToken).ConfigureAwait(false);
        await _image.File.Node.DebugEventAsync(BlkdebugEvent.ClusterAlloc).ConfigureAwait(false);
        while (true)
        {
            long start = await FindFreeRunAsync(count, cancellationToken).ConfigureAwait(false);
            long? missing = null;
            for (long index = start >> _blockBits; index <= (start + count - 1) >> _blockBits; index++)
            {
                await ReachAsync(index << _blockBits, cancellationToken).ConfigureAwait(false);
                if (missing is null && !HasBlock((int)index)) missing = index;
            }

            if (missing is { } block)
            {
                // The block takes the run's first cluster; the next search finds a run behind it.
                await CreateBlockAsync((int)block, start, cancellationToken).ConfigureAwait(false);
                continue;
            }

            await CheckAllocationAsync(start, count, purpose, cancellationToken).ConfigureAwait(false);
            await AnnounceRaiseAsync().ConfigureAwait(false);
            await ChangeRefcountsAsync(start, count, +1, cancellationToken).ConfigureAwait(false);
            if (_hint == start) _hint = start + count;
            return TakeRun(start, count);
        }
    }

    /// <summary>Raises the refcount of every cluster a range touches: it has one more owner. Needs <see cref="Mutex"/>.</summary>
    /// <exception cref="BlockException"><c>Invalid</c>: a refcount is as large as it can be; clusters before it are raised. Corrupt: a
    /// cluster in use is counted as free.</exception>
    public async ValueTask AddReferenceAsync(long host, long length, CancellationToken cancellationToken)
    {
        for (long cluster = host >> _clusterBits; cluster <= (host + length - 1) >> _clusterBits; cluster++)
        {
            long tableIndex = cluster >> _blockBits;
            int index = (int)(cluster & ((1L << _blockBits) - 1));
            ulong refcount = 0;
            if (tableIndex < _table.Count && HasBlock((int)tableIndex))
            {
                TableSlice block = await GetBlockPinnedAsync((int)tableIndex, cancellationToken).ConfigureAwait(false);
                refcount = new RefcountBlock(block.Bytes, _refcountOrder)[index];
                if (refcount > 0 && refcount < MaxRefcount) SetRefcounts(block, index, 1, refcount + 1);
                _blocks.Unpin(block);
            }

            if (refcount >= MaxRefcount) throw BlockException.FromErrno(Errno.EINVAL);
            if (refcount > 0) continue;
            throw await _image.ReportCorruptionAsync(
                isFatal: true, $"Cluster {Qcow2Image.Hex(cluster << _clusterBits)} is in use and has refcount 0", cluster << _clusterBits, ClusterSize)
                .ConfigureAwait(false);
        }
    }

    /// <summary>Lowers refcounts of a reference whose loss is durable, and that no request can be using. Needs <see cref="Mutex"/>.</summary>
    public ValueTask ReleaseAsync(LostReference lost, CancellationToken cancellationToken) => LowerAsync(lost, cancellationToken);

    /// <summary>Takes back clusters that were allocated and never linked. Needs <see cref="Mutex"/>.</summary>
    public ValueTask FreeUnlinkedAsync(Run run) => ChangeRefcountsAsync(run.Host >> _clusterBits, run.Count, -1, CancellationToken.None);

    /// <summary>Lowers the refcounts of references whose loss is durable, and tells the host. Needs <see cref="Mutex"/>.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    public async ValueTask LowerReadyAsync(CancellationToken cancellationToken)
    {
        List<LostReference> ready;
        lock (_image.TableLock)
        {
            _image.Reclaim.Advance();
            if (!_image.Reclaim.HasReady) return;
            ready = _image.Reclaim.TakeReady();
        }

        for (int i = 0; i < ready.Count; i++)
        {
            try
            {
                await LowerAsync(ready[i], cancellationToken).ConfigureAwait(false);
            }
            catch
            {
                // What of this reference was lowered must not be lowered twice: the rest of it leaks.
                lock (_image.TableLock) _image.Reclaim.PutBackReady(ready.GetRange(i + 1, ready.Count - i - 1));
                throw;
            }
        }
    }

    /// <summary>The refcount of the cluster at <paramref name="host"/>. Needs <see cref="Mutex"/>.</summary>
    public async ValueTask<ulong> GetRefcountAsync(long host, CancellationToken cancellationToken)
    {
        long cluster = host >> _clusterBits;
        long tableIndex = cluster >> _blockBits;
        if (tableIndex >= _table.Count || !HasBlock((int)tableIndex)) return 0;
        TableSlice block = await GetBlockPinnedAsync((int)tableIndex, cancellationToken).ConfigureAwait(false);
        ulong refcount = new RefcountBlock(block.Bytes, _refcountOrder)[(int)(cluster & ((1L << _blockBits) - 1))];
        _blocks.Unpin(block);
        return refcount;
    }

    /// <summary>The end of the last cluster that has a refcount. Needs <see cref="Mutex"/>.</summary>
    public async ValueTask<long> FindUsedEndAsync(CancellationToken cancellationToken)
    {
        long cluster = Align.Count(_image.File.Node.Length, ClusterSize);
        while (cluster > 0 && await GetRefcountAsync((cluster - 1) << _clusterBits, cancellationToken).ConfigureAwait(false) == 0) cluster--;
        return cluster << _clusterBits;
    }

    /// <summary>The file ends at <paramref name="end"/> now: what lies behind reads as zeros when it is written again.</summary>
    public void OnFileCut(long end)
    {
        _highWater = Math.Min(_highWater, end);
        lock (_image.TableLock) UnwrittenEnd = Math.Min(UnwrittenEnd, end);
    }

    /// <summary>Where the last cluster ends whose zeros at its end were left to the file.</summary>
    public long UnwrittenEnd { get; private set; }

    /// <summary>A cluster that ends at <paramref name="end"/> was not written to its end.</summary>
    public void OnZerosLeftOut(long end)
    {
        lock (_image.TableLock) UnwrittenEnd = Math.Max(UnwrittenEnd, end);
    }

    /// <summary>Adds to the metadata map what the refcount structure takes. Needs the table lock.</summary>
    public void MapMetadata(MetadataMap map)
    {
        map.Add(_table.Host, _table.Count * 8L, MetadataKind.RefcountTable);
        for (int i = 0; i < _table.Count; i++)
        {
            if (HasBlock(i)) map.Add(new RefcountTableEntry(_table[i]).Block.Value, ClusterSize, MetadataKind.RefcountBlock);
        }
    }

    // ---- Refcounts

    private Run TakeRun(long cluster, int count)
    {
        long host = cluster << _clusterBits;
        bool isFresh = host >= _highWater;
        _highWater = Math.Max(_highWater, host + ((long)count << _clusterBits));
        Interlocked.Add(ref _handedOut, (long)count << _clusterBits);
        return new Run(host, count, isFresh);
    }

    /// <summary>Refcounts are about to be raised. As in the reference that is announced whether or not their block is in memory already.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask AnnounceRaiseAsync()
    {
        await _image.File.Node.DebugEventAsync(BlkdebugEvent.RefblockAlloc).ConfigureAwait(false);
        await _image.File.Node.DebugEventAsync(BlkdebugEvent.RefblockLoad).ConfigureAwait(false);
    }

    private async ValueTask LowerAsync(LostReference lost, CancellationToken cancellationToken)
    {
        await _image.File.Node.DebugEventAsync(BlkdebugEvent.ClusterFree).ConfigureAwait(false);
        long first = lost.Host >> _clusterBits, last = (lost.Host + lost.Length - 1) >> _clusterBits;
        long freedFrom = -1;
        for (long cluster = first; cluster <= last + 1; cluster++)
        {
            bool isFree = cluster <= last && await LowerAsync(cluster, cancellationToken).ConfigureAwait(false);
            if (isFree && freedFrom < 0) freedFrom = cluster;
            if (!isFree && freedFrom >= 0)
            {
                // The mutex keeps the clusters from being handed out until the host has dropped their content.
                await _image.PassDiscardAsync(freedFrom << _clusterBits, (cluster - freedFrom) << _clusterBits, lost.Reason, cancellationToken)
                    .ConfigureAwait(false);
                freedFrom = -1;
            }
        }
    }

    private async ValueTask<bool> LowerAsync(long cluster, CancellationToken cancellationToken)
    {
        long tableIndex = cluster >> _blockBits;
        int index = (int)(cluster & ((1L << _blockBits) - 1));
        if (tableIndex < _table.Count && HasBlock((int)tableIndex))
        {
            TableSlice block = await GetBlockPinnedAsync((int)tableIndex, cancellationToken).ConfigureAwait(false);
            ulong refcount = new RefcountBlock(block.Bytes, _refcountOrder)[index];
            if (refcount > 0) SetRefcounts(block, index, 1, refcount - 1);
            _blocks.Unpin(block);
            if (refcount > 0)
            {
                if (refcount == 1) BecameFree(cluster);
                return refcount == 1;
            }
        }

        await _image.ReportCorruptionAsync(
            isFatal: false, $"Freeing cluster {Qcow2Image.Hex(cluster << _clusterBits)} whose refcount is 0", cluster << _clusterBits, ClusterSize).ConfigureAwait(false);
        return false;
    }

    private void BecameFree(long cluster)
    {
        _hint = Math.Min(_hint, cluster);
        if (_nextPacked >> _clusterBits == cluster) _nextPacked = 0;
        lock (_image.TableLock) _image.ForgetCluster(cluster << _clusterBits);
    }

    private async ValueTask ChangeRefcountsAsync(long first, int count, int delta, CancellationToken cancellationToken)
    {
        for (long cluster = first; cluster < first + count; cluster++)
        {
            TableSlice block = await GetBlockPinnedAsync((int)(cluster >> _blockBits), cancellationToken).ConfigureAwait(false);
            int index = (int)(cluster & ((1L << _blockBits) - 1));
            ulong refcount = new RefcountBlock(block.Bytes, _refcountOrder)[index] + (ulong)delta;
            Debug.Assert(refcount <= MaxRefcount);
            SetRefcounts(block, index, 1, refcount);
            _blocks.Unpin(block);
            if (refcount == 0) BecameFree(cluster);
        }
    }

    private void SetRefcounts(TableSlice block, int first, int count, ulong refcount)
    {
        lock (_image.TableLock)
        {
            var entries = new RefcountBlock(block.Bytes, _refcountOrder);
            for (int i = first; i < first + count; i++) entries[i] = refcount;
            int start = RefcountBlock.ByteOf(first, _refcountOrder);
            int end = RefcountBlock.ByteOf(first + count - 1, _refcountOrder) + Math.Max(1, (1 << _refcountOrder) >> 3);
            block.MarkDirty(start, end - start);
        }
    }

    private int FindFree(TableSlice block, int from, int wanted, out int count)
    {
        var entries = new RefcountBlock(block.Bytes, _refcountOrder);
        count = 0;
        int first = from;
        while (first < entries.Count && entries[first] != 0) first++;
        while (count < wanted && first + count < entries.Count && entries[first + count] == 0) count++;
        return first;
    }

    private async ValueTask<long> FindFreeRunAsync(int count, CancellationToken cancellationToken)
    {
        long start = _hint, end = _hint;
        while (end - start < count)
        {
            int tableIndex = (int)(end >> _blockBits);
            if (tableIndex >= _table.Count || !HasBlock(tableIndex))
            {
                end = ((long)tableIndex + 1) << _blockBits;
                continue;
            }

            TableSlice block = await GetBlockPinnedAsync(tableIndex, cancellationToken).ConfigureAwait(false);
            long blockEnd = ((long)tableIndex + 1) << _blockBits;
            for (; end < blockEnd && end - start < count; end++)
            {
                if (new RefcountBlock(block.Bytes, _refcountOrder)[(int)(end & ((1L << _blockBits) - 1))] != 0) start = end + 1;
            }

            _blocks.Unpin(block);
        }

        return start;
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask CheckAllocationAsync(long cluster, int count, string purpose, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        long host = cluster << _clusterBits, length = (long)count << _clusterBits;
        if (host + length > Qcow2Image.MaxHostOffset)
        {
            throw new BlockException(BlockErrorKind.TooLarge, Errno.Text(Errno.EFBIG)) { NodeName = _image.NodeName };
        }

        if (host == 0)
        {
            throw await _image.ReportCorruptionAsync(isFatal: true, $"Preventing invalid allocation of {purpose} at offset 0").ConfigureAwait(false);
        }

        MetadataKind? overlap;
        lock (_image.TableLock) overlap = _image.MetadataMap.FindOverlap(host, length);
        if (overlap is { } kind) throw await _image.ReportOverlapAsync(kind, host, length).ConfigureAwait(false);
    }

    // ---- Blocks and the table

    private bool HasBlock(int tableIndex) => new RefcountTableEntry(_table[tableIndex]).IsAllocated;

    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    private async ValueTask<TableSlice> GetBlockPinnedAsync(int tableIndex, CancellationToken cancellationToken)
    {
        HostOffset host = new RefcountTableEntry(_table[tableIndex]).Block;
        if (!Align.Is(host.Value, ClusterSize) || host.Value < 0)
        {
            throw await _image.ReportCorruptionAsync(
                isFatal: true, $"Refblock offset {Qcow2Image.Hex(host.Value)} unaligned (reftable index: {Qcow2Image.Hex(tableIndex)})").ConfigureAwait(false);
        }

        return await _blocks.GetPinnedAsync(host.Value, BlkdebugEvent.None, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Makes the table long enough to count a cluster, and says which of its entries does.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    private async ValueTask<int> ReachAsync(long cluster, CancellationToken cancellationToken)
    {
        long tableIndex = cluster >> _blockBits;
        if (tableIndex >= _table.Count) await GrowTableAsync(tableIndex + 1, cancellationToken).ConfigureAwait(false);
        return (int)tableIndex;
    }

    /// <summary>Makes the missing block of a table entry, in a free cluster: one it counts itself, or one that another block counts.</summary>
    private async ValueTask CreateBlockAsync(int tableIndex, long cluster, CancellationToken cancellationToken)
    {
        await CheckAllocationAsync(cluster, 1, "refcount block", cancellationToken).ConfigureAwait(false);
        bool countsItself = cluster >> _blockBits == tableIndex;
        Run run = TakeRun(cluster, 1);
        TableSlice block = await _blocks.AddPinnedAsync(run.Host, cancellationToken).ConfigureAwait(false);
        if (!countsItself) await ChangeRefcountsAsync(cluster, 1, +1, cancellationToken).ConfigureAwait(false);
        lock (_image.TableLock)
        {
            if (countsItself) new RefcountBlock(block.Bytes, _refcountOrder)[(int)(cluster & ((1L << _blockBits) - 1))] = 1;
            block.MarkDirty(0, ClusterSize);
            _table[tableIndex] = RefcountTableEntry.Of(new(run.Host)).Raw;
            _image.MetadataMap.Add(run.Host, ClusterSize, MetadataKind.RefcountBlock);
        }

        _blocks.Unpin(block);
        if (_hint == cluster) _hint = cluster + 1;

        // Where that costs little, now, so that a disk that refuses it fails the request that needs the block. But a flush takes with it all that
        // the guest has written: hundreds of megabytes, and requests wait meanwhile. Then the next write-back does it, in the same order.
        if (Interlocked.Read(ref _handedOut) > MaxFlushedWithBlock) return;
        await _image.File.Node.DebugEventAsync(BlkdebugEvent.RefblockAllocWrite).ConfigureAwait(false);
        await _image.WritebackAsync(WritebackScope.Refcounts, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Everything that was written is durable.</summary>
    public void OnFlushed() => Interlocked.Exchange(ref _handedOut, 0);

    /// <summary>Moves the refcount table to a longer place behind everything it can count, together with the blocks that count that place.</summary>
    private async ValueTask GrowTableAsync(long neededEntries, CancellationToken cancellationToken)
    {
        await _image.SettleHeaderAsync(cancellationToken).ConfigureAwait(false);
        await _image.File.Node.DebugEventAsync(BlkdebugEvent.ReftableGrow).ConfigureAwait(false);
        int entriesPerCluster = ClusterSize / 8;
        long oldCount = _table.Count;
        long start = Math.Max(oldCount, neededEntries - 1) << _blockBits;   // the first cluster of a block that does not exist
        long entries = Math.Max(neededEntries, oldCount * 3 / 2);
        long tableClusters, blockCount = 1;
        while (true)
        {
            entries = Math.Max(entries, (start >> _blockBits) + blockCount);
            tableClusters = Align.Count(entries, entriesPerCluster);
            long needed = Align.Count(tableClusters + blockCount, 1L << _blockBits);
            if (needed <= blockCount) break;
            blockCount = needed;
        }

        if (tableClusters << _clusterBits > Qcow2Header.MaxRefcountTableBytes)
        {
            throw new BlockException(BlockErrorKind.TooLarge, Errno.Text(Errno.EFBIG)) { NodeName = _image.NodeName };
        }

        long blocksHost = start << _clusterBits, tableHost = (start + blockCount) << _clusterBits;
        ResidentTable table = _table.MovedTo(tableHost, (int)(tableClusters * entriesPerCluster));
        await WriteGrownAsync(table, start, (int)blockCount, tableClusters, cancellationToken).ConfigureAwait(false);
        await _image.UpdateHeaderAsync(
            h => h with { RefcountTable = new(tableHost), RefcountTableClusters = (int)tableClusters }, cancellationToken).ConfigureAwait(false);

        ResidentTable old = _table;
        lock (_image.TableLock)
        {
            _table = table;
            _image.MetadataMap.Remove(old.Host, old.Count * 8L);
            _image.MetadataMap.Add(tableHost, tableClusters << _clusterBits, MetadataKind.RefcountTable);
            _image.MetadataMap.Add(blocksHost, blockCount << _clusterBits, MetadataKind.RefcountBlock);
            _image.Reclaim.BecameDurable([new LostReference(old.Host, old.Count * 8L, DiscardReason.Other)]);
        }

        _highWater = Math.Max(_highWater, tableHost + (tableClusters << _clusterBits));
    }

    private async ValueTask WriteGrownAsync(ResidentTable table, long start, int blockCount, long tableClusters, CancellationToken cancellationToken)
    {
        // The table is about to be named by the header: every block it names must be durable first.
        await _image.WritebackAsync(WritebackScope.Refcounts, cancellationToken).ConfigureAwait(false);
        BlockNode file = _image.File.Node;
        long left = blockCount + tableClusters;
        using IOBuffer bytes = IOBuffer.Rent(ClusterSize);
        await file.DebugEventAsync(BlkdebugEvent.RefblockAllocWriteBlocks).ConfigureAwait(false);
        for (int i = 0; i < blockCount; i++)
        {
            long host = (start + i) << _clusterBits;
            bytes.Span.Clear();
            var entries = new RefcountBlock(bytes.Span, _refcountOrder);
            for (int k = 0; k < entries.Count && left > 0; k++, left--) entries[k] = 1;
            await file.WriteAsync(host, bytes.Memory, WriteFlags.None, cancellationToken).ConfigureAwait(false);
            table[(int)(start >> _blockBits) + i] = RefcountTableEntry.Of(new(host)).Raw;
        }

        await file.DebugEventAsync(BlkdebugEvent.RefblockAllocWriteTable).ConfigureAwait(false);
        using IOBuffer tableBytes = IOBuffer.Rent((int)(tableClusters << _clusterBits));
        tableBytes.Span.Clear();
        table.CopyTo(tableBytes.Span);
        await file.WriteAsync(table.Host, tableBytes.Memory, WriteFlags.None, cancellationToken).ConfigureAwait(false);
        table.MarkClean();
        await file.FlushAsync(cancellationToken).ConfigureAwait(false);
        await file.DebugEventAsync(BlkdebugEvent.RefblockAllocSwitchTable).ConfigureAwait(false);
    }
}
