using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

/// <content>Zero clusters and discard: changes of L2 entries that write no data.</content>
internal sealed partial class Qcow2Image
{
    /// <summary>What becomes of the entries of a range.</summary>
    private enum EntryChange
    {
        /// <summary>Zero flag; clusters stay where they are.</summary>
        Zero,

        /// <summary>Zero flag; clusters are given up.</summary>
        ZeroAndUnmap,

        /// <summary>The guest no longer needs the content; what was allocated reads as zeros afterwards.</summary>
        Discard,

        /// <summary>The entry says nothing any more; for guest ranges past a new end of the disk.</summary>
        Forget,
    }

    /// <summary>Version 2 has none: there zeros are what nothing is allocated for, or data.</summary>
    private bool HasZeroClusters => _header.Version >= 3;

    /// <summary>Nothing shows through where nothing is allocated: not now, and not when the backing file that the header names is there again.</summary>
    private bool UnallocatedIsZero => BackingChild is null && RecordedBackingFile is null;

    protected override async ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        if (_isUnusable) throw Unusable();
        if (IsReadOnly) BlockThrow.ReadOnly(this);
        if (!HasZeroClusters && !UnallocatedIsZero) throw NotSupported();

        long end = offset + length;
        if (end == Length) end = Align.Up(end, SubclusterSize);   // what lies behind the end of the disk is nobody's
        await PrepareForWritingAsync(cancellationToken).ConfigureAwait(false);
        EntryChange change = (flags & ZeroFlags.MayUnmap) != 0 ? EntryChange.ZeroAndUnmap : EntryChange.Zero;
        int ticket = EnterRequest();
        try
        {
            long first = Align.Up(offset, SubclusterSize), last = Align.Down(end, SubclusterSize);
            if (offset < first) await ZeroEdgeAsync(offset, Math.Min(first, end), change, flags, cancellationToken).ConfigureAwait(false);
            if (last < end && last >= first) await ZeroEdgeAsync(last, end, change, flags, cancellationToken).ConfigureAwait(false);
            await ZeroSubclustersAsync(first, last, change, flags, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Reclaim.Exit(ticket);
        }

        await RelieveReclaimAsync(cancellationToken).ConfigureAwait(false);
    }

    protected override async ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        if (_isUnusable) throw Unusable();
        if (IsReadOnly) BlockThrow.ReadOnly(this);

        await PrepareForWritingAsync(cancellationToken).ConfigureAwait(false);

        // Without zero clusters the backing image would show through what was discarded.
        if (!HasZeroClusters && !UnallocatedIsZero) return;
        long first = Align.Up(offset, ClusterSize), last = offset + length == Length
            ? Align.Up(Length, ClusterSize)
            : Align.Down(offset + length, ClusterSize);
        int ticket = EnterRequest();
        try
        {
            await ChangeEntriesAsync(first, last, EntryChange.Discard, DiscardReason.Request, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Reclaim.Exit(ticket);
        }

        await RelieveReclaimAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Zeroes whole subclusters, by entries. A compressed cluster has no subclusters: of one that is not zeroed whole, bytes are written.</summary>
    private async ValueTask ZeroSubclustersAsync(long start, long end, EntryChange change, ZeroFlags flags, CancellationToken cancellationToken)
    {
        if (start >= end) return;
        long firstWhole = Math.Min(Align.Up(start, ClusterSize), end), wholeEnd = Math.Max(Align.Down(end, ClusterSize), firstWhole);
        bool writesHead = start < firstWhole && await IsCompressedAsync(start, cancellationToken).ConfigureAwait(false);
        bool writesTail = wholeEnd < end && await IsCompressedAsync(wholeEnd, cancellationToken).ConfigureAwait(false);
        if ((writesHead || writesTail) && (flags & ZeroFlags.NoFallback) != 0) throw NotSupported();

        // One write, as the reference has it, where one does; else only what cannot be zeroed otherwise.
        if ((writesHead || writesTail) && end - start <= IOBuffer.MaxTransfer)
        {
            await WriteZeroBytesAsync(start, end, cancellationToken).ConfigureAwait(false);
            return;
        }

        if (writesHead) await WriteZeroBytesAsync(start, firstWhole, cancellationToken).ConfigureAwait(false);
        if (writesTail) await WriteZeroBytesAsync(wholeEnd, end, cancellationToken).ConfigureAwait(false);
        await ChangeEntriesAsync(writesHead ? firstWhole : start, writesTail ? wholeEnd : end, change, DiscardReason.Request, cancellationToken)
            .ConfigureAwait(false);
    }

    private async ValueTask<bool> IsCompressedAsync(long offset, CancellationToken cancellationToken)
        => (await MapAsync(offset, 1, cancellationToken).ConfigureAwait(false)).Kind == MappingKind.Compressed;

    private BlockException NotSupported() => new(BlockErrorKind.Unsupported, Errno.Text(Errno.EOPNOTSUPP)) { NodeName = NodeName };

    /// <summary>Zeroes part of a subcluster: by an entry where the rest of it reads as zeros and it holds no data, else by writing.</summary>
    private async ValueTask ZeroEdgeAsync(long start, long end, EntryChange change, ZeroFlags flags, CancellationToken cancellationToken)
    {
        long unit = Align.Down(start, SubclusterSize), unitEnd = unit + SubclusterSize;
        bool showsZeros = await BackingIsZeroAsync(unit, start, cancellationToken).ConfigureAwait(false)
            && await BackingIsZeroAsync(end, unitEnd, cancellationToken).ConfigureAwait(false);
        while (true)
        {
            Task? busy;
            using (await _allocator.Mutex.EnterAsync().ConfigureAwait(false))
            {
                lock (TableLock) busy = FindReserved(unit, unitEnd);
                if (busy is null)
                {
                    Mapping mapping = await MapAsync(unit, 1, cancellationToken).ConfigureAwait(false);
                    if (mapping.Kind is not (MappingKind.ZeroPlain or MappingKind.ZeroAllocated) && !(mapping.Kind == MappingKind.Unallocated && showsZeros)) break;
                    await ChangeEntriesLockedAsync(unit, unitEnd, unitEnd, change, DiscardReason.Request, cancellationToken)
                        .ConfigureAwait(false);
                    return;
                }
            }

            await busy.ConfigureAwait(false);
        }

        if ((flags & ZeroFlags.NoFallback) != 0) throw NotSupported();
        await WriteZeroBytesAsync(start, end, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask<bool> BackingIsZeroAsync(long start, long end, CancellationToken cancellationToken)
    {
        end = Math.Min(end, Length);
        while (start < end && BackingChild is { } backing)
        {
            BlockRun run = await ChainStatus.AboveAsync(backing.Node, bottom: null, start, end - start, precise: true, cancellationToken).ConfigureAwait(false);
            if (!run.IsZero || run.Length == 0) return run.IsZero;
            start += run.Length;
        }

        return true;
    }

    private async ValueTask WriteZeroBytesAsync(long start, long end, CancellationToken cancellationToken)
    {
        using IOBuffer zeros = IOBuffer.Rent((int)(end - start));
        zeros.Span.Clear();
        await WritePiecesAsync(start, zeros.Memory, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Changes the entries of whole clusters, slice by slice, waiting for allocations in flight. Zeroing takes whole subclusters too.</summary>
    private async ValueTask ChangeEntriesAsync(long start, long end, EntryChange change, DiscardReason reason, CancellationToken cancellationToken)
    {
        while (start < end)
        {
            long pieceEnd = Math.Min(end, _l2.SliceEnd(start));
            Task? busy;
            using (await _allocator.Mutex.EnterAsync().ConfigureAwait(false))
            {
                lock (TableLock) busy = FindReserved(start, pieceEnd);
                if (busy is null) pieceEnd = await ChangeEntriesLockedAsync(start, pieceEnd, end, change, reason, cancellationToken).ConfigureAwait(false);
            }

            if (busy is not null) await busy.ConfigureAwait(false);
            else start = pieceEnd;
        }
    }

    private async ValueTask<long> ChangeEntriesLockedAsync(
        long start, long pieceEnd, long end, EntryChange change, DiscardReason reason, CancellationToken cancellationToken)
    {
        if (_isUnusable) throw Unusable();
        bool hasTable;
        lock (TableLock)
        {
            int l1Index = _l2.L1IndexOf(start);
            hasTable = l1Index < _l2.L1.Count && new L1Entry(_l2.L1[l1Index]).IsAllocated;
        }

        // Nothing is allocated there, and what shows through already is what it should be.
        if (!hasTable && (change == EntryChange.Forget || ((change == EntryChange.Discard || !HasZeroClusters) && BackingChild is null)))
        {
            return Math.Min(end, Align.Down(start, _l2.BytesPerTable) + _l2.BytesPerTable);
        }

        if (IsDataFileRaw && change is EntryChange.Zero or EntryChange.ZeroAndUnmap) await ZeroDataFileAsync(start, pieceEnd, change, cancellationToken).ConfigureAwait(false);
        if (hasTable && !await AnyChangesAsync(start, pieceEnd, change, cancellationToken).ConfigureAwait(false)) return pieceEnd;
        TableSlice slice = await GetWritableSliceAsync(start, cancellationToken).ConfigureAwait(false);
        long lostStart = pieceEnd, lostEnd = start;
        List<LostReference>? kept = null;
        lock (TableLock)
        {
            int index = _l2.IndexInSlice(start);
            for (long at = start; at < pieceEnd; at = ClusterEnd(at), index++)
            {
                ExtendedL2Entry old = _l2.Get(slice, index), changed = Changed(old, change, at, pieceEnd);
                if (changed == old) continue;
                _l2.Set(slice, index, changed);
                if (changed.HasHost && !old.IsCompressed)
                {
                    bool isGivenUp = _options.DiscardNoUnref && change is EntryChange.Discard or EntryChange.ZeroAndUnmap;
                    if (isGivenUp && HoldsNothing(changed)) AddKept(kept ??= [], changed.Host.Value, reason);
                    continue;
                }

                Unlinked(old.Descriptor, reason);
                if (old.HasHost) (lostStart, lostEnd) = (Math.Min(lostStart, at), ClusterEnd(at));
            }

            slice.Pins--;
        }

        await ReportUnalignedLossAsync().ConfigureAwait(false);

        // Differs from QEMU: encrypted, what a disk shows in place of what it gave up is no zeros. Whoever still has the old entry, or
        // has it again after a power loss, must find the old data.
        bool keepsData = change == EntryChange.ZeroAndUnmap && (IsDataFileRaw || IsEncrypted);
        if (HasDataFile && lostStart < lostEnd && change != EntryChange.Forget && !keepsData)
        {
            // Now, while the mutex keeps writers away: the place is the guest cluster's own, and used again by its next write.
            await PassDiscardAsync(_data.Node, lostStart, lostEnd - lostStart, reason, cancellationToken).ConfigureAwait(false);
        }

        if (kept is not null && !keepsData)
        {
            // The mutex keeps away who would write there again: what is kept is not data any more, so that takes a reservation.
            foreach (LostReference cluster in kept) await PassDiscardAsync(_data.Node, cluster.Host, cluster.Length, reason, cancellationToken).ConfigureAwait(false);
        }

        return pieceEnd;
    }

    /// <summary>No subcluster has data, and no snapshot has some there.</summary>
    private static bool HoldsNothing(ExtendedL2Entry entry) => entry.IsOwned && entry.Subclusters.Allocated == 0;

    /// <summary>Clusters that stay where they are, but whose content the host may drop.</summary>
    private void AddKept(List<LostReference> kept, long host, DiscardReason reason)
    {
        if (kept.Count > 0 && kept[^1] is var last && last.Host + last.Length == host) kept[^1] = last with { Length = last.Length + ClusterSize };
        else kept.Add(new LostReference(host, ClusterSize, reason));
    }

    /// <summary>A raw data file shows zeros itself, whatever the entries say.</summary>
    private async ValueTask ZeroDataFileAsync(long start, long end, EntryChange change, CancellationToken cancellationToken)
    {
        end = Math.Min(end, _data.Node.Length);
        if (start >= end) return;
        ZeroFlags flags = change == EntryChange.ZeroAndUnmap ? ZeroFlags.MayUnmap : ZeroFlags.None;
        await _data.Node.WriteZeroesAsync(start, end - start, flags, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Whether a change would change anything: a table shared with a snapshot is not copied for nothing.</summary>
    private async ValueTask<bool> AnyChangesAsync(long start, long end, EntryChange change, CancellationToken cancellationToken)
    {
        L1Entry l1;
        lock (TableLock) l1 = new L1Entry(_l2.L1[_l2.L1IndexOf(start)]);
        if (!Align.Is(l1.Table.Value, ClusterSize)) return true;   // reported by whoever is about to write
        TableSlice slice = await _l2.Slices.GetPinnedAsync(l1.Table.Value + _l2.SliceOffsetOf(start), BlkdebugEvent.L2Load, cancellationToken)
            .ConfigureAwait(false);
        lock (TableLock)
        {
            slice.Pins--;
            int index = _l2.IndexInSlice(start);
            for (long at = start; at < end; at = ClusterEnd(at), index++)
            {
                ExtendedL2Entry old = _l2.Get(slice, index);
                if (Changed(old, change, at, end) != old) return true;
            }
        }

        return false;
    }

    private long ClusterEnd(long offset) => Align.Down(offset, ClusterSize) + ClusterSize;

    /// <summary>What becomes of a cluster's entry when a range is changed that begins in it.</summary>
    private ExtendedL2Entry Changed(ExtendedL2Entry old, EntryChange change, long start, long end)
    {
        bool isAllocated = old.IsCompressed || old.HasHost;
        switch (change)
        {
            case EntryChange.Forget:
                return ExtendedL2Entry.Unallocated;

            case EntryChange.Zero or EntryChange.ZeroAndUnmap when !HasZeroClusters:
                return ExtendedL2Entry.Unallocated;

            case EntryChange.Zero or EntryChange.ZeroAndUnmap:
                int first = SubclusterOf(start), last = SubclusterEnd(end - Align.Down(start, ClusterSize));
                if (last - first < SubclusterMap.Count)
                {
                    return old.IsCompressed ? old : old with { Subclusters = old.Subclusters.WithZero(first, last) };
                }

                bool unmap = old.IsCompressed || (change == EntryChange.ZeroAndUnmap && isAllocated && !_options.DiscardNoUnref);
                return unmap || !isAllocated ? ExtendedL2Entry.Zero : old.WithZero();

            default:
                if (!isAllocated && (BackingChild is null || old.IsZeroPlain)) return old;
                if (!HasZeroClusters) return ExtendedL2Entry.Unallocated;
                return _options.DiscardNoUnref && old.HasHost ? old.WithZero() : ExtendedL2Entry.Zero;
        }
    }
}
