using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

// Resizing: what a power loss may leave
//   Growing: the L1 table is copied to its new place, durable, before the header names it; what must read as zeros is zeroed, durable,
//   before the header tells the new size. Before that the image is the old one, with clusters behind its end at most.
//   Shrinking: the header tells the new size first; clusters behind the end are given up afterwards, at the latest when it grows again.

/// <content>Changing the size of the virtual disk.</content>
internal sealed partial class Qcow2Image
{
    protected override async ValueTask ResizeCoreAsync(long length, PreallocationMode preallocation, CancellationToken cancellationToken)
    {
        if (_isUnusable) throw Unusable();
        RefuseResize(length, preallocation);
        RefuseResizeOfBitmaps();
        await PrepareForWritingAsync(cancellationToken).ConfigureAwait(false);
        long oldLength = Length;
        if (length < oldLength)
        {
            await UpdateHeaderAsync(h => h with { VirtualSize = length }, cancellationToken).ConfigureAwait(false);
            OnAllocationChanged();
            await GiveUpBehindAsync(length, cancellationToken).ConfigureAwait(false);
            await TruncateFileAsync(cancellationToken).ConfigureAwait(false);
            if (HasDataFile) await _data.Node.ResizeAsync(length, PreallocationMode.Off, cancellationToken).ConfigureAwait(false);
            return;
        }

        if (HasDataFile)
        {
            // What a shrink that failed half way has left behind the end must not come back where clusters are mapped without being written.
            // A raw file shows what it has, whatever the image says.
            if (!IsDataFileRaw && _data.Node.Length > oldLength) await _data.Node.ResizeAsync(oldLength, PreallocationMode.Off, cancellationToken).ConfigureAwait(false);
            PreallocationMode space = preallocation == PreallocationMode.Metadata ? PreallocationMode.Off : preallocation;
            await _data.Node.ResizeAsync(length, space, cancellationToken).ConfigureAwait(false);
            if (IsDataFileRaw && preallocation == PreallocationMode.Off) preallocation = PreallocationMode.Metadata;
        }

        await GiveUpVmStateAsync(cancellationToken).ConfigureAwait(false);
        await ForgetBehindAsync(oldLength, cancellationToken).ConfigureAwait(false);
        await GrowL1Async((int)_header.L1EntriesFor(length), cancellationToken).ConfigureAwait(false);
        await ZeroNewAsync(oldLength, length, cancellationToken).ConfigureAwait(false);
        if (preallocation != PreallocationMode.Off)
        {
            await PreallocateAsync(Align.Up(oldLength, ClusterSize), length, preallocation, cancellationToken).ConfigureAwait(false);
        }

        await WritebackAsync(WritebackScope.Flush, cancellationToken).ConfigureAwait(false);
        await UpdateHeaderAsync(h => h with { VirtualSize = length }, cancellationToken).ConfigureAwait(false);
        OnAllocationChanged();
    }

    private void RefuseResize(long length, PreallocationMode preallocation)
    {
        if (!Align.Is(length, Align.SectorSize)) throw Refusal(BlockErrorKind.Invalid, $"The new size must be a multiple of {Align.SectorSize}");
        if (_header.SnapshotCount > 0 && _header.Version < 3) throw Refusal(BlockErrorKind.Unsupported, "Can't resize a v2 image which has snapshots");
        if (length < Length && preallocation != PreallocationMode.Off)
        {
            throw Refusal(BlockErrorKind.Invalid, "Preallocation can't be used for shrinking an image");
        }

        if (_header.L1EntriesFor(length) > Qcow2Header.MaxL1Bytes / 8)
        {
            throw Refusal(BlockErrorKind.TooLarge, $"Failed to grow the L1 table: {Errno.Text(Errno.EFBIG)}");
        }
    }

    private BlockException Refusal(BlockErrorKind kind, string message) => new(kind, message) { NodeName = NodeName };

    /// <summary>Makes the active L1 table at least <paramref name="count"/> entries long.</summary>
    private async ValueTask GrowL1Async(int count, CancellationToken cancellationToken)
    {
        using AsyncLock.Holder held = await _allocator.Mutex.EnterAsync().ConfigureAwait(false);
        if (count <= _l2.L1.Count) return;
        await MarkDirtyAsync(cancellationToken).ConfigureAwait(false);

        // The mutex keeps L1 entries as they are; once they are durable, a copy of the table is as good as the table.
        await WritebackAsync(WritebackScope.Flush, cancellationToken).ConfigureAwait(false);
        await _file.Node.DebugEventAsync(BlkdebugEvent.L1GrowAllocTable).ConfigureAwait(false);
        int clusterCount = (int)Align.Count(count * 8L, ClusterSize);
        ClusterAllocator.Run run = await _allocator.AllocateContiguousAsync(clusterCount, "L1 table", cancellationToken).ConfigureAwait(false);
        ResidentTable old = _l2.L1, grown = old.MovedTo(run.Host, count);
        try
        {
            using IOBuffer bytes = IOBuffer.Rent(count * 8);
            grown.CopyTo(bytes.Span);
            await _file.Node.DebugEventAsync(BlkdebugEvent.L1GrowWriteTable).ConfigureAwait(false);
            await _file.Node.WriteAsync(run.Host, bytes.Memory, WriteFlags.None, cancellationToken).ConfigureAwait(false);
            await WritebackAsync(WritebackScope.Refcounts, cancellationToken).ConfigureAwait(false);
            await _file.Node.DebugEventAsync(BlkdebugEvent.L1GrowActivateTable).ConfigureAwait(false);
            await UpdateHeaderAsync(h => h with { L1Table = new(run.Host), L1Size = count }, cancellationToken).ConfigureAwait(false);
        }
        catch when (!_headerIsUncertain)
        {
            await _allocator.FreeUnlinkedAsync(run).ConfigureAwait(false);   // with the header in doubt the clusters leak instead
            throw;
        }

        lock (TableLock)
        {
            _l2.L1 = grown;
            MetadataMap.Remove(old.Host, old.Count * 8L);
            MetadataMap.Add(run.Host, count * 8L, MetadataKind.ActiveL1);
            if (old.Count > 0) Reclaim.BecameDurable([new LostReference(old.Host, old.Count * 8L, DiscardReason.Other)]);
        }
    }

    /// <summary>Makes the range behind the old end read as zeros: stale bytes of its last cluster, and a longer backing image.</summary>
    private async ValueTask ZeroNewAsync(long oldLength, long length, CancellationToken cancellationToken)
    {
        long clusterEnd = Math.Min(Align.Up(oldLength, ClusterSize), length);
        long covered = BackingChild is { } backing ? Math.Min(backing.Node.Length, length) : 0;
        int ticket = EnterRequest();
        try
        {
            for (long at = oldLength; at < clusterEnd && !IsDataFileRaw;)
            {
                Mapping mapping = await MapAsync(at, clusterEnd - at, cancellationToken).ConfigureAwait(false);
                bool holdsData = mapping.Kind is MappingKind.Data or MappingKind.Compressed;
                if (holdsData || (mapping.Kind == MappingKind.Unallocated && covered > at))
                {
                    await WriteZeroBytesAsync(at, at + mapping.Length, cancellationToken).ConfigureAwait(false);
                }

                at += mapping.Length;
            }

            if (covered <= clusterEnd) return;
            if (_header.Version >= 3)
            {
                await ChangeEntriesAsync(clusterEnd, Align.Up(covered, ClusterSize), EntryChange.Zero, DiscardReason.Other, cancellationToken)
                    .ConfigureAwait(false);
                return;
            }

            for (long at = clusterEnd; at < covered; at += IOBuffer.MaxTransfer)
            {
                await WriteZeroBytesAsync(at, Math.Min(at + IOBuffer.MaxTransfer, covered), cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            Reclaim.Exit(ticket);
        }
    }

    /// <summary>Gives clusters to a range that has none and is not yet, or no longer, anybody's to read.</summary>
    private async ValueTask PreallocateAsync(long start, long end, PreallocationMode mode, CancellationToken cancellationToken)
    {
        for (long first = start; start < end;)
        {
            Graph.OnProgress(start - first, end - first);
            Mapping mapping = await MapAsync(start, end - start, cancellationToken).ConfigureAwait(false);
            Reservation? reservation = mapping is { Kind: MappingKind.Data, IsCopied: true }
                ? null
                : await ReserveAsync(start, mapping.Length, cancellationToken).ConfigureAwait(false);
            if (reservation is null)
            {
                start += mapping.Length;
                continue;
            }

            long reservedEnd = reservation.GuestEnd;
            bool isLinked = false;
            try
            {
                // With subclusters the place is set aside and they stay as they are; one that was set aside before needs nothing.
                if (!_header.HasSubclusters || !reservation.IsReuse)
                {
                    await FillAsync(reservation, mode, cancellationToken).ConfigureAwait(false);
                    Link(reservation, reservation.GuestStart, _header.HasSubclusters ? reservation.GuestStart : reservedEnd);
                    isLinked = true;
                }
            }
            finally
            {
                if (!isLinked) await AbandonAsync(reservation).ConfigureAwait(false);
            }

            start = reservedEnd;
        }
    }

    /// <summary>Zeros in preallocated clusters: none where the file never held them, space or explicit zeros as the mode asks.</summary>
    private async ValueTask FillAsync(Reservation reservation, PreallocationMode mode, CancellationToken cancellationToken)
    {
        if (HasDataFile) return;      // it was resized as a whole
        long host = reservation.Run.Host, length = reservation.GuestEnd - reservation.GuestStart;
        if (mode == PreallocationMode.Metadata && reservation.Run.IsFresh)
        {
            // The file reaches to the end of what is linked.
            using IOBuffer last = IOBuffer.Rent(SectorBytes);
            last.Span.Clear();
            await _file.Node.WriteAsync(host + length - SectorBytes, last.Memory, WriteFlags.None, cancellationToken).ConfigureAwait(false);
            return;
        }

        if (mode != PreallocationMode.Full)
        {
            await _file.Node.WriteZeroesAsync(host, length, ZeroFlags.None, cancellationToken).ConfigureAwait(false);
            return;
        }

        using IOBuffer zeros = IOBuffer.Rent((int)Math.Min(length, IOBuffer.MaxTransfer));
        zeros.Span.Clear();
        for (long done = 0; done < length; done += zeros.Memory.Length)
        {
            int piece = (int)Math.Min(length - done, zeros.Memory.Length);
            await _file.Node.WriteAsync(host + done, zeros.Memory[..piece], WriteFlags.None, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Machine state lies where the disk is about to reach: nobody can ask for it any more.</summary>
    private async ValueTask GiveUpVmStateAsync(CancellationToken cancellationToken)
    {
        bool hasAny = false;
        lock (TableLock)
        {
            for (int i = (int)_header.L1EntriesFor(Length); i < _l2.L1.Count; i++) hasAny |= new L1Entry(_l2.L1[i]).IsAllocated;
        }

        if (hasAny) await GiveUpBehindAsync(VmStateOffset, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Clusters behind the end: a power loss while the disk was made shorter has left them, and they must not come back.</summary>
    private ValueTask ForgetBehindAsync(long length, CancellationToken cancellationToken) => ChangeEntriesAsync(
        Align.Up(length, ClusterSize), _l2.L1.Count * _l2.BytesPerTable, EntryChange.Forget, DiscardReason.Always, cancellationToken);

    /// <summary>Gives up every cluster behind a guest offset, and the tables that map nothing else; machine state too.</summary>
    private async ValueTask GiveUpBehindAsync(long length, CancellationToken cancellationToken)
    {
        await ForgetBehindAsync(length, cancellationToken).ConfigureAwait(false);
        await _file.Node.DebugEventAsync(BlkdebugEvent.L1ShrinkFreeL2Clusters).ConfigureAwait(false);
        using (await _allocator.Mutex.EnterAsync().ConfigureAwait(false))
        {
            lock (TableLock)
            {
                for (int i = (int)_header.L1EntriesFor(length); i < _l2.L1.Count; i++)
                {
                    var entry = new L1Entry(_l2.L1[i]);
                    if (!entry.IsAllocated) continue;
                    _l2.L1[i] = L1Entry.Unallocated.Raw;
                    MetadataMap.Remove(entry.Table.Value, ClusterSize);
                    Reclaim.Unlinked(new LostReference(entry.Table.Value, ClusterSize, DiscardReason.Always));
                }
            }
        }

        await FlushCoreAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Cuts the file behind its last cluster that is in use. A courtesy: where the file cannot be cut, the image is as good.</summary>
    private async ValueTask TruncateFileAsync(CancellationToken cancellationToken)
    {
        using AsyncLock.Holder held = await _allocator.Mutex.EnterAsync().ConfigureAwait(false);
        try
        {
            long end = await _allocator.FindUsedEndAsync(cancellationToken).ConfigureAwait(false);
            if (end >= _file.Node.Length) return;
            await _file.Node.ResizeAsync(end, PreallocationMode.Off, cancellationToken).ConfigureAwait(false);
            _allocator.OnFileCut(end);
        }
        catch (BlockException)
        {
            // A device keeps its length, and a disk that fails says so to the next request.
        }
    }
}
