using System.Runtime.CompilerServices;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

/// <summary>What a write-back has to bring to the disk.</summary>
internal enum WritebackScope
{
    /// <summary>Refcount blocks only, so that blocks can be evicted: they may be written at any time.</summary>
    RefcountBlocks,

    /// <summary>Refcount blocks and the refcount table only, whatever lazy refcounts say: before the table moves.</summary>
    Refcounts,

    /// <summary>Everything dirty, in order, so that L2 slices can be evicted. What comes last need not be durable.</summary>
    Evict,

    /// <summary>Everything dirty, in order and durable. Refcounts may stay behind where they are lazy.</summary>
    Flush,

    /// <summary>As <see cref="Flush"/>, lazy refcounts included.</summary>
    Close,
}

// A write-back
//   1. Under the table lock, in one go: take copies of everything dirty. A link in the copies was made after its data had been
//      written and its refcount raised in memory; so the raised refcount is in the copies, and the data is with the file.
//   2. Write refcount blocks. If the refcount table names new ones, which may have been written before: flush, write the table.
//   3. Flush the file. Now data, copied clusters, new L2 tables, refcount blocks and the refcount table are durable.
//   4. Write L2 slices and L1 sectors. They may reach the disk in any order, whole sectors or none: every entry in them, old
//      or new, is true.
//   5. Flush. Now references that the copies had lost are lost for good; Reclaim lowers their refcounts when it may.
// A write that fails puts every copy back as dirty: nothing is lost, the next write-back tries again, and nothing that depends on
// the failed write has been written.

/// <content>Bringing cached metadata to the disk.</content>
internal sealed partial class Qcow2Image
{
    /// <summary>References that may wait for a flush; beyond it a write-back is made so that their clusters can be used again.</summary>
    private const int MaxUnlinked = 4096;

    private readonly AsyncLock _writebackLock = new();

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    protected override async ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        if (IsReadOnly)
        {
            return;
        }

        if (_isUnusable) throw Unusable();
        await _file.Node.DebugEventAsync(BlkdebugEvent.FlushToOs).ConfigureAwait(false);
        await WritebackAsync(WritebackScope.Flush, cancellationToken).ConfigureAwait(false);
        bool hasReady;
        lock (TableLock)
        {
            Reclaim.Advance();
            hasReady = Reclaim.HasReady;
        }

        if (!hasReady) return;
        using AsyncLock.Holder held = await _allocator.Mutex.EnterAsync().ConfigureAwait(false);
        await _allocator.LowerReadyAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Writes dirty metadata in the order described above.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    internal async ValueTask WritebackAsync(WritebackScope scope, CancellationToken cancellationToken)
    {
        using AsyncLock.Holder held = await _writebackLock.EnterAsync().ConfigureAwait(false);
        if (_isUnusable) throw Unusable();
        await SettleHeaderAsync(cancellationToken).ConfigureAwait(false);
        DirtyMetadata dirty;
        lock (TableLock) dirty = TakeDirty(scope);
        try
        {
            await WriteAsync(dirty, scope, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            lock (TableLock)
            {
                dirty.PutBack();
                Reclaim.PutBack(dirty.Lost);
            }

            throw;
        }
        finally
        {
            dirty.Release();
        }
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask WriteAsync(DirtyMetadata dirty, WritebackScope scope, CancellationToken cancellationToken)
    {
        BlockNode file = _file.Node;
        await WriteTablesAsync(dirty.RefcountBlocks, BlkdebugEvent.RefblockUpdatePart, cancellationToken).ConfigureAwait(false);
        if (dirty.RefcountTable.Count > 0)
        {
            await FlushFilesAsync(cancellationToken).ConfigureAwait(false);
            await WriteTablesAsync(dirty.RefcountTable, BlkdebugEvent.RefblockAllocHookup, cancellationToken).ConfigureAwait(false);
        }

        bool links = dirty.L2.Count + dirty.L1.Count > 0;
        if (links)
        {
            await FlushFilesAsync(cancellationToken).ConfigureAwait(false);
            await WriteTablesAsync(dirty.L2, BlkdebugEvent.L2Update, cancellationToken).ConfigureAwait(false);
            await WriteTablesAsync(dirty.L1, BlkdebugEvent.L1Update, cancellationToken).ConfigureAwait(false);
        }

        // Only a flush turns "written" into "durable": lost references wait for it, whoever asked for this write-back.
        if (scope is WritebackScope.Flush or WritebackScope.Close || dirty.Lost.Count > 0)
        {
            await file.DebugEventAsync(BlkdebugEvent.FlushToDisk).ConfigureAwait(false);
            await FlushFilesAsync(cancellationToken).ConfigureAwait(false);
        }

        lock (TableLock)
        {
            dirty.Written();
            Reclaim.BecameDurable(dirty.Lost);
        }
    }

    /// <summary>Guest data and tables, durable: the data first. A file nobody has written since it was opened has nothing to make durable.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask FlushFilesAsync(CancellationToken cancellationToken)
    {
        if (HasDataFile) await _data.Node.FlushAsync(cancellationToken).ConfigureAwait(false);
        if (_file.Node.HighestWrite > 0) await _file.Node.FlushAsync(cancellationToken).ConfigureAwait(false);
        _allocator.OnFlushed();
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask WriteTablesAsync(List<TableWrite> writes, BlkdebugEvent announced, CancellationToken cancellationToken)
    {
        foreach (TableWrite write in writes)
        {
            await _file.Node.DebugEventAsync(announced).ConfigureAwait(false);
            await _file.Node.WriteAsync(write.Host, write.Data.Memory, WriteFlags.None, cancellationToken).ConfigureAwait(false);
        }
    }

    private DirtyMetadata TakeDirty(WritebackScope scope)
    {
        var dirty = new DirtyMetadata();

        // A block that the table is about to name must be on the disk, lazy or not: whoever rebuilds refcounts reads it.
        bool blocksToo = !_options.LazyRefcounts || scope is not WritebackScope.Flush || _allocator.Table.IsDirty;
        if (blocksToo) DirtyMetadata.Take(_allocator.Blocks, dirty.RefcountBlocks);
        if (scope == WritebackScope.RefcountBlocks) return dirty;
        if (blocksToo) _allocator.Table.TakeDirty(dirty.RefcountTable);
        if (scope == WritebackScope.Refcounts) return dirty;
        DirtyMetadata.Take(_l2.Slices, dirty.L2);
        _l2.L1.TakeDirty(dirty.L1);
        dirty.Lost = Reclaim.TakeUnlinked();
        return dirty;
    }

    /// <summary>Writes everything back at the end of the node's life, and says in the header that refcounts are right.</summary>
    private async ValueTask CloseTablesAsync()
    {
        if (!_isPreparedForWriting) return;   // nothing was written, and an image found dirty stays so
        await SettleAtEndAsync().ConfigureAwait(false);
        await FillEndAsync().ConfigureAwait(false);
        await MarkCleanAsync(CancellationToken.None).ConfigureAwait(false);
    }

    private async ValueTask SettleAtEndAsync()
    {
        try
        {
            await SettleTablesAsync(CancellationToken.None).ConfigureAwait(false);
        }
        catch (BlockException e) when (!_needsRepair && !_isUnusable)      // that was reported
        {
            string both = $"Failed to flush the L2 table cache: {e.Message}\nFailed to flush the refcount block cache: {e.Message}";
            throw new BlockException(e.Kind, both, e) { Errno = e.Errno, NodeName = NodeName };
        }
    }

    /// <summary>The file ends with its last cluster, though zeros at the end of that need not have been written; a compressed cluster
    /// may end anywhere, but readers look at whole sectors.</summary>
    /// <remarks>A file tells its length in whole sectors, so giving it the length it tells fills the last one.</remarks>
    private async ValueTask FillEndAsync()
    {
        long length = Align.Up(_file.Node.Length, SectorBytes), end = Math.Max(length, _allocator.UnwrittenEnd);
        if (!_allocator.HasPacked && end == length) return;
        try
        {
            await _file.Node.ResizeAsync(end, PreallocationMode.Off, CancellationToken.None).ConfigureAwait(false);
        }
        catch (BlockException e) when (e.Kind == BlockErrorKind.Unsupported)
        {
            // A device of a fixed length has whole sectors.
        }
    }

    /// <summary>Sets the dirty bit before refcounts on the disk may lag behind links. Needs the allocator's mutex.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask MarkDirtyAsync(CancellationToken cancellationToken)
    {
        if (!_options.LazyRefcounts || IsDirty == true) return;
        await UpdateHeaderAsync(h => h with { Incompatible = h.Incompatible | Qcow2Incompatible.Dirty }, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Clears the dirty bit: refcounts on the disk are right.</summary>
    private async ValueTask MarkCleanAsync(CancellationToken cancellationToken)
    {
        if (IsDirty != true || _needsRepair) return;
        await UpdateHeaderAsync(h => h with { Incompatible = h.Incompatible & ~Qcow2Incompatible.Dirty }, cancellationToken).ConfigureAwait(false);
    }
}

/// <summary>Copies of the dirty metadata of one moment, and the references those copies have lost.</summary>
internal sealed class DirtyMetadata
{
    public List<TableWrite> RefcountBlocks { get; } = [];
    public List<TableWrite> RefcountTable { get; } = [];
    public List<TableWrite> L2 { get; } = [];
    public List<TableWrite> L1 { get; } = [];
    public List<LostReference> Lost { get; set; } = [];

    private IEnumerable<TableWrite> All => RefcountBlocks.Concat(RefcountTable).Concat(L2).Concat(L1);

    /// <summary>Copies the dirty sectors of a cache's slices and marks them clean. Needs the table lock.</summary>
    public static void Take(TableCache cache, List<TableWrite> writes)
    {
        foreach (TableSlice slice in cache.Slices)
        {
            if (!slice.IsDirty) continue;
            int start = (int)Align.Down(slice.DirtyStart, Align.SectorSize);
            int end = (int)Math.Min(Align.Up(slice.DirtyEnd, Align.SectorSize), cache.SliceSize);
            IOBuffer data = IOBuffer.Rent(end - start);
            slice.Bytes.AsSpan(start, end - start).CopyTo(data.Span);
            slice.MarkClean();
            slice.IsBeingWritten = true;
            writes.Add(new TableWrite(slice.Host + start, data, slice, Table: null));
        }
    }

    /// <summary>The copies are on the disk. Needs the table lock.</summary>
    public void Written()
    {
        foreach (TableWrite write in All) write.Slice?.IsBeingWritten = false;
    }

    /// <summary>The copies may not be on the disk: what they were copied from is dirty again. Needs the table lock.</summary>
    public void PutBack()
    {
        foreach (TableWrite write in All)
        {
            write.Table?.PutBack(write);
            if (write.Slice is not { } slice) continue;
            slice.IsBeingWritten = false;
            slice.MarkDirty((int)(write.Host - slice.Host), write.Data.Memory.Length);
        }
    }

    /// <summary>Gives the copies' buffers back.</summary>
    public void Release()
    {
        foreach (TableWrite write in All) write.Data.Dispose();
    }
}
