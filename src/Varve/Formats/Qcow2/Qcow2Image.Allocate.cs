using System.Runtime.CompilerServices;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

/// <content>Reserving host clusters for guest clusters, and linking them.</content>
internal sealed partial class Qcow2Image
{
    private readonly List<Reservation> _reservations = [];
    private readonly Stack<Reservation> _endedReservations = [];
    private long _unalignedLost;

    /// <summary>Sets host clusters aside for a run of guest clusters that begins at <paramref name="offset"/>.</summary>
    /// <returns>The reservation, already registered; null when the first cluster can be written in place after all.</returns>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    private async ValueTask<Reservation?> ReserveAsync(long offset, long length, CancellationToken cancellationToken)
    {
        long start = Align.Down(offset, ClusterSize);
        long end = Math.Min(Align.Up(offset + length, ClusterSize), _l2.SliceEnd(offset));
        while (true)
        {
            Task? busy;
            using (await _allocator.Mutex.EnterAsync().ConfigureAwait(false))
            {
                lock (TableLock) busy = FindReserved(start, start + ClusterSize);
                if (busy is null) return await ReserveLockedAsync(offset, offset + length, start, end, cancellationToken).ConfigureAwait(false);
            }

            await busy.ConfigureAwait(false);
        }
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    private async ValueTask<Reservation?> ReserveLockedAsync(
        long touchedStart, long touchedEnd, long start, long end, CancellationToken cancellationToken)
    {
        if (_isUnusable) throw Unusable();
        TableSlice slice = await GetWritableSliceAsync(start, cancellationToken).ConfigureAwait(false);
        bool isTaken = false;
        try
        {
            int index = _l2.IndexInSlice(start), count;
            ExtendedL2Entry first;
            lock (TableLock)
            {
                foreach (Reservation other in _reservations)
                {
                    if (other.GuestStart > start && other.GuestStart < end) end = other.GuestStart;
                }

                first = _l2.Get(slice, index);
                count = CountAlike(slice, index, (int)((end - start) >> _header.ClusterBits), touchedEnd - start);
            }

            bool isReuse = first.IsOwned;
            if (isReuse && first.IsData(SubclusterOf(touchedStart), SubclusterEnd(touchedEnd - start))) return null;
            if (isReuse && !Align.Is(first.Host.Value, ClusterSize))
            {
                throw await ReportCorruptionAsync(
                    isFatal: true, $"Preallocated zero cluster offset {Hex(first.Host.Value)} unaligned (guest offset: {Hex(start)})").ConfigureAwait(false);
            }

            ClusterAllocator.Run run;
            if (HasDataFile)
            {
                run = new ClusterAllocator.Run(start, count, IsFresh: false);      // its place is given
            }
            else if (isReuse)
            {
                run = new ClusterAllocator.Run(first.Host.Value, count, IsFresh: false);
            }
            else
            {
                run = await _allocator.AllocateAsync(count, "data cluster", cancellationToken).ConfigureAwait(false);
            }

            lock (TableLock)
            {
                Reservation reservation = Register(start, start + ((long)run.Count << _header.ClusterBits), slice);
                (reservation.Run, reservation.IsReuse) = (run, isReuse);
                (reservation.First, reservation.Last) = (first, _l2.Get(slice, index + run.Count - 1));
                isTaken = true;
                return reservation;
            }
        }
        finally
        {
            if (!isTaken) _l2.Slices.Unpin(slice);
        }
    }

    /// <summary>Needs the table lock.</summary>
    private Reservation Register(long start, long end, TableSlice slice)
    {
        if (!_endedReservations.TryPop(out Reservation? reservation)) reservation = new Reservation();
        reservation.Begin(start, end, slice);
        _reservations.Add(reservation);
        return reservation;
    }

    private int SubclusterBits => _header.ClusterBits - SubclusterMap.CountBits;

    /// <summary>Which subcluster of its cluster an offset lies in.</summary>
    private int SubclusterOf(long offset) => (int)(offset >> SubclusterBits) & (SubclusterMap.Count - 1);

    /// <summary>The end of the subclusters that <paramref name="length"/> bytes from a cluster's beginning touch.</summary>
    private int SubclusterEnd(long length) => (int)Math.Clamp(Align.Count(length, 1L << SubclusterBits), 0, SubclusterMap.Count);

    /// <summary>How many entries from <paramref name="index"/> on are treated as the first is: all get new clusters, or all have theirs,
    /// one behind the other, and are not yet full of data.</summary>
    private int CountAlike(TableSlice slice, int index, int max, long length)
    {
        ExtendedL2Entry first = _l2.Get(slice, index);
        int count = 1;
        for (; count < max; count++)
        {
            ExtendedL2Entry entry = _l2.Get(slice, index + count);
            long distance = (long)count << _header.ClusterBits;
            if (entry.IsOwned != first.IsOwned || entry.IsInvalid) break;
            if (first.IsOwned && (entry.Host.Value != first.Host.Value + distance || entry.IsData(0, SubclusterEnd(length - distance)))) break;
        }

        return count;
    }

    /// <summary>The task that ends when the first reservation in a guest range does; null when there is none. Needs the table lock.</summary>
    private Task? FindReserved(long start, long end)
    {
        foreach (Reservation reservation in _reservations)
        {
            if (reservation.Overlaps(start, end))
            {
                return (reservation.Ended ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
            }
        }

        return null;
    }

    /// <summary>The data is written: the guest clusters get their host clusters, and lose what they had.</summary>
    /// <param name="reservation">Ends with this.</param>
    /// <param name="start">Where what was written begins; subclusters that it does not touch stay zero or unallocated.</param>
    /// <param name="end">Where it ends.</param>
    private void Link(Reservation reservation, long start, long end)
    {
        lock (TableLock)
        {
            int index = _l2.IndexInSlice(reservation.GuestStart);
            for (int i = 0; i < reservation.Run.Count; i++)
            {
                long distance = (long)i << _header.ClusterBits, from = start - reservation.GuestStart - distance;
                int first = from <= 0 ? 0 : (int)Math.Min(from >> SubclusterBits, SubclusterMap.Count);
                int last = Math.Max(first, SubclusterEnd(end - reservation.GuestStart - distance));
                ExtendedL2Entry old = _l2.Get(reservation.Slice, index + i);
                _l2.Set(reservation.Slice, index + i, new(
                    L2Entry.Standard(new(reservation.Run.Host + distance)), old.Subclusters.WithAllocated(first, last)));
                if (!reservation.IsReuse) Unlinked(old.Descriptor, DiscardReason.Other);
            }

            End(reservation);
        }
    }

    /// <summary>The data could not be written: what was set aside goes back, and the mapping stays.</summary>
    private async ValueTask AbandonAsync(Reservation reservation)
    {
        try
        {
            if (!reservation.IsReuse && !HasDataFile && !_isUnusable)
            {
                using AsyncLock.Holder held = await _allocator.Mutex.EnterAsync().ConfigureAwait(false);
                if (reservation.Packed is { } packed) await _allocator.FreePackedAsync(packed).ConfigureAwait(false);
                else await _allocator.FreeUnlinkedAsync(reservation.Run).ConfigureAwait(false);
            }
        }
        catch (BlockException)
        {
            // The clusters leak; the write's own failure is what its caller has to know.
        }
        finally
        {
            lock (TableLock) End(reservation);
        }
    }

    private void End(Reservation reservation)
    {
        reservation.Slice.Pins--;
        _reservations.Remove(reservation);
        reservation.Ended?.SetResult();
        _endedReservations.Push(reservation);
    }

    /// <summary>An entry that held a reference is no more. Needs the table lock.</summary>
    private void Unlinked(L2Entry old, DiscardReason reason)
    {
        if (HasDataFile) return;      // clusters of a data file are not counted
        switch (old.Kind)
        {
            case ClusterKind.Data or ClusterKind.ZeroAllocated when !Align.Is(old.Host.Value, ClusterSize):
                _unalignedLost = old.Host.Value;   // whose clusters these are nobody knows: they leak
                break;
            case ClusterKind.Data or ClusterKind.ZeroAllocated:
                Reclaim.Unlinked(new LostReference(old.Host.Value, ClusterSize, reason));
                break;
            case ClusterKind.Compressed:
                CompressedExtent extent = old.Compressed(_header.ClusterBits);
                Reclaim.Unlinked(new LostReference(extent.Host.Value, extent.MaxLength, reason));
                break;
        }
    }

    /// <summary>Reports an entry that was replaced although it could not be true.</summary>
    private async ValueTask ReportUnalignedLossAsync()
    {
        long host = Interlocked.Exchange(ref _unalignedLost, 0);
        if (host != 0) await ReportCorruptionAsync(isFatal: false, $"Cannot free unaligned cluster {Hex(host)}").ConfigureAwait(false);
    }

    /// <summary>The slice that maps <paramref name="offset"/>, in a table that is ours alone, pinned. Needs the allocator's mutex.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    private async ValueTask<TableSlice> GetWritableSliceAsync(long offset, CancellationToken cancellationToken)
    {
        await MarkDirtyAsync(cancellationToken).ConfigureAwait(false);
        int l1Index = _l2.L1IndexOf(offset);
        L1Entry entry;
        lock (TableLock) entry = new L1Entry(_l2.L1[l1Index]);
        if (!Align.Is(entry.Table.Value, ClusterSize))
        {
            throw await ReportCorruptionAsync(
                isFatal: true, $"L2 table offset {Hex(entry.Table.Value)} unaligned (L1 index: {Hex(l1Index)})").ConfigureAwait(false);
        }

        if (!entry.IsAllocated || !entry.IsCopied) return await NewTableAsync(offset, entry, cancellationToken).ConfigureAwait(false);
        return await _l2.Slices.GetPinnedAsync(entry.Table.Value + _l2.SliceOffsetOf(offset), BlkdebugEvent.L2Load, cancellationToken)
            .ConfigureAwait(false);
    }

    /// <summary>Gives the L1 entry of a guest offset a table of its own: empty, or a copy of one that snapshots share.</summary>
    /// <returns>The slice of it that maps the offset, pinned.</returns>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    private async ValueTask<TableSlice> NewTableAsync(long offset, L1Entry old, CancellationToken cancellationToken)
    {
        TableSlice slice;
        ClusterAllocator.Run run = await _allocator.AllocateAsync(1, "L2 table", cancellationToken).ConfigureAwait(false);
        try
        {
            // Of tables the refcount is right on the disk even where refcounts are lazy: a repair that stops half-way loses less.
            if (_options.LazyRefcounts) await WritebackAsync(WritebackScope.Refcounts, cancellationToken).ConfigureAwait(false);
            using IOBuffer content = IOBuffer.Rent(ClusterSize);
            if (old.IsAllocated)
            {
                // A shared table is never dirty in the cache: the disk has it as it is.
                await _file.Node.DebugEventAsync(BlkdebugEvent.L2AllocCowRead).ConfigureAwait(false);
                await _file.Node.ReadAsync(old.Table.Value, content.Memory, cancellationToken).ConfigureAwait(false);
            }
            else
            {
                content.Span.Clear();
            }

            await _file.Node.DebugEventAsync(BlkdebugEvent.L2AllocWrite).ConfigureAwait(false);
            await _file.Node.WriteAsync(run.Host, content.Memory, WriteFlags.None, cancellationToken).ConfigureAwait(false);

            int sliceOffset = (int)_l2.SliceOffsetOf(offset);
            slice = await _l2.Slices.AddPinnedAsync(run.Host + sliceOffset, cancellationToken).ConfigureAwait(false);
            content.Span.Slice(sliceOffset, slice.Bytes.Length).CopyTo(slice.Bytes);
        }
        catch
        {
            await _allocator.FreeUnlinkedAsync(run).ConfigureAwait(false);
            throw;
        }

        lock (TableLock)
        {
            _l2.L1[_l2.L1IndexOf(offset)] = L1Entry.Of(new(run.Host)).Raw;
            MetadataMap.Add(run.Host, ClusterSize, MetadataKind.ActiveL2);
            if (old.IsAllocated)
            {
                MetadataMap.Remove(old.Table.Value, ClusterSize);
                MetadataMap.Add(old.Table.Value, ClusterSize, MetadataKind.InactiveL2);      // a snapshot's, until it is free
                Reclaim.Unlinked(new LostReference(old.Table.Value, ClusterSize, DiscardReason.Other));
            }
        }

        return slice;
    }
}
