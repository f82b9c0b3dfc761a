using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

// What holds for cached slices
//   1. At most one slice exists for a host offset, and a load that is under way is shared by all who want it.
//   2. A slice that is dirty, being written or pinned is not evicted. So what a load reads from the disk is never older than
//      what a slice held before: the disk has everything an evicted slice knew.
//   3. The budget may be exceeded by pinned slices, as many as requests are in flight, and up to twofold by dirty ones that the
//      file refuses to take.

/// <summary>Keeps slices of on-disk tables within a budget of bytes. The image's table lock guards it.</summary>
/// <param name="file">Where the tables lie.</param>
/// <param name="tableLock">Guards the cache and every byte in it; never held during I/O.</param>
/// <param name="sliceSize">Bytes of a slice.</param>
/// <param name="budget">Bytes the slices may take together.</param>
/// <param name="counters">Where hits, misses and evictions are counted.</param>
/// <param name="writeBack">Makes dirty slices clean, so that some can be evicted.</param>
internal sealed class TableCache(
    BlockChild file, Lock tableLock, int sliceSize, long budget, CacheCounters counters, Func<CancellationToken, ValueTask> writeBack)
{
    /// <summary>Contents of evicted slices that are kept for those that follow: as many as are loaded at once, as a rule.</summary>
    private const int MaxEvicted = 4;

    private readonly Dictionary<long, TableSlice> _slices = [];
    private readonly Dictionary<long, TaskCompletionSource> _loading = [];
    private readonly List<TableSlice> _ring = [];
    private readonly Stack<byte[]> _evicted = new(MaxEvicted);
    private readonly int _capacity = (int)Math.Max(2, budget / sliceSize);
    private int _hand;

    public int SliceSize => sliceSize;

    /// <summary>Every cached slice. Needs the table lock.</summary>
    public IReadOnlyList<TableSlice> Slices => _ring;

    /// <summary>The slice at <paramref name="host"/>, if it is cached. Needs the table lock.</summary>
    /// <param name="host">Where it lies in the image file.</param>
    /// <param name="slice">It.</param>
    /// <param name="held">A slice that the caller has pinned: finding it again is no other hit.</param>
    public bool TryGet(long host, [NotNullWhen(true)] out TableSlice? slice, TableSlice? held = null)
    {
        if (!_slices.TryGetValue(host, out slice)) return false;
        slice.WasUsed = true;
        if (slice != held) counters.Hits++;
        return true;
    }

    /// <summary>The slice at <paramref name="host"/>, read from the file where it is not cached. Unpin it with <see cref="Unpin"/>.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    public async ValueTask<TableSlice> GetPinnedAsync(long host, BlkdebugEvent loadEvent, CancellationToken cancellationToken)
    {
        while (true)
        {
            TaskCompletionSource? others, mine = null;
            lock (tableLock)
            {
                if (TryGet(host, out TableSlice? slice))
                {
                    slice.Pins++;
                    return slice;
                }

                if (!_loading.TryGetValue(host, out others))
                {
                    mine = new(TaskCreationOptions.RunContinuationsAsynchronously);
                    _loading.Add(host, mine);
                }
            }

            if (mine is null)
            {
                await others!.Task.ConfigureAwait(false);   // ends without an error: who waits tries for itself
                continue;
            }

            return await LoadPinnedAsync(host, mine, loadEvent, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Adds a slice for a table that is new, pinned: nobody can have asked for it yet.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    public async ValueTask<TableSlice> AddPinnedAsync(long host, CancellationToken cancellationToken)
    {
        byte[] bytes = await MakeRoomAsync(cancellationToken).ConfigureAwait(false);
        bytes.AsSpan().Clear();
        var slice = new TableSlice(host, bytes) { Pins = 1 };
        lock (tableLock)
        {
            Forget(host, sliceSize);
            Insert(slice);
        }

        return slice;
    }

    public void Unpin(TableSlice slice)
    {
        lock (tableLock) slice.Pins--;
    }

    /// <summary>Forgets slices of a table whose clusters are free now. Needs the table lock.</summary>
    public void Forget(long host, long length)
    {
        for (long at = host; at < host + length; at += sliceSize)
        {
            if (!_slices.Remove(at, out TableSlice? slice)) continue;
            _ring.Remove(slice);
        }
    }

    /// <summary>Forgets everything: after a repair changed the tables under the cache. Needs the table lock, and no user.</summary>
    public void Clear()
    {
        _slices.Clear();
        _ring.Clear();
        _hand = 0;
    }

    /// <summary>Drops clean slices that nobody used since the last call (<c>cache-clean-interval</c>).</summary>
    public void DropUnused()
    {
        lock (tableLock)
        {
            for (int i = _ring.Count - 1; i >= 0; i--)
            {
                TableSlice slice = _ring[i];
                bool wasUsed = slice.WasUsed || slice.WasUsedSinceCleaning;
                slice.WasUsedSinceCleaning = slice.WasUsed = false;
                if (!wasUsed && CanEvict(slice)) RemoveAt(i);
            }
        }
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    private async ValueTask<TableSlice> LoadPinnedAsync(
        long host, TaskCompletionSource mine, BlkdebugEvent loadEvent, CancellationToken cancellationToken)
    {
        try
        {
            byte[] bytes = await MakeRoomAsync(cancellationToken).ConfigureAwait(false);
            await file.Node.DebugEventAsync(loadEvent).ConfigureAwait(false);
            await file.Node.ReadAsync(host, bytes, cancellationToken).ConfigureAwait(false);
            var slice = new TableSlice(host, bytes) { Pins = 1 };
            lock (tableLock)
            {
                Insert(slice);
                counters.Misses++;
            }

            return slice;
        }
        finally
        {
            lock (tableLock) _loading.Remove(host);
            mine.SetResult();
        }
    }

    /// <summary>Sees to it that one more slice fits the budget.</summary>
    /// <returns>Memory for its content.</returns>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    private async ValueTask<byte[]> MakeRoomAsync(CancellationToken cancellationToken)
    {
        lock (tableLock)
        {
            if (_ring.Count < _capacity || TryEvict()) return NewContent();
        }

        try
        {
            await writeBack(cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException) when (_ring.Count < 2 * _capacity)
        {
            // What cannot be written now stays dirty and is tried again; a flush reports it. Reads go on meanwhile.
        }

        lock (tableLock)
        {
            TryEvict();   // where nothing can be evicted, the budget is exceeded
            return NewContent();
        }
    }

    private byte[] NewContent() => _evicted.TryPop(out byte[]? bytes) ? bytes : GC.AllocateUninitializedArray<byte>(sliceSize);

    /// <summary>Evicts by second chance: the hand passes over slices used since it last came by.</summary>
    private bool TryEvict()
    {
        for (int passes = 2 * _ring.Count; passes > 0; passes--)
        {
            if (_hand >= _ring.Count) _hand = 0;
            TableSlice slice = _ring[_hand];
            if (!CanEvict(slice))
            {
                _hand++;
            }
            else if (slice.WasUsed)
            {
                slice.WasUsed = false;
                slice.WasUsedSinceCleaning = true;
                _hand++;
            }
            else
            {
                if (_evicted.Count < MaxEvicted) _evicted.Push(slice.Bytes);   // nobody has it: it is not pinned
                RemoveAt(_hand);
                counters.Evictions++;
                return true;
            }
        }

        return false;
    }

    private static bool CanEvict(TableSlice slice) => slice.Pins == 0 && !slice.IsDirty && !slice.IsBeingWritten;

    private void Insert(TableSlice slice)
    {
        _slices.Add(slice.Host, slice);
        _ring.Add(slice);
    }

    private void RemoveAt(int index)
    {
        _slices.Remove(_ring[index].Host);
        _ring[index] = _ring[^1];
        _ring.RemoveAt(_ring.Count - 1);
    }
}
