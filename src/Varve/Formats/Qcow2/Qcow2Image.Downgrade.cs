using System.Buffers.Binary;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

// From version 3 to version 2: what a power loss may leave
//   Version 2 has no zero clusters. First those of the active disk become unallocated where nothing shows through, else data, by ordinary
//   writes; then those of snapshots become data: a new cluster with as many references as the L2 table has, written, durable, then the
//   entry changes in place: old and new entry read as zeros, so any mix of them on the disk is right. Only then the header changes, in one
//   step. Before it, the image is one of version 3 that shows the same.

/// <content>Turning an image into one of version 2.</content>
internal sealed partial class Qcow2Image
{
    private async ValueTask DowngradeAsync(AmendProgress progress, CancellationToken cancellationToken)
    {
        await RefuseDowngradeAsync(cancellationToken).ConfigureAwait(false);
        long total = _l2.L1.Count + _snapshots.Sum(s => s.L1Size), done = 0;
        for (int i = 0; i < _l2.L1.Count; i++)
        {
            await ExpandZeroesAsync(i * _l2.BytesPerTable, Math.Min((i + 1) * _l2.BytesPerTable, Length), cancellationToken).ConfigureAwait(false);
            progress.Report(++done, total);
        }

        if (_snapshots.Count > 0)
        {
            await ChangeOwnersAsync(async () =>
            {
                await ExpandSnapshotsAsync(() => progress.Report(++done, total), cancellationToken).ConfigureAwait(false);
                await EndChangeOfOwnersAsync().ConfigureAwait(false);
            }, cancellationToken).ConfigureAwait(false);
        }

        await SettleTablesAsync(cancellationToken).ConfigureAwait(false);
        _options = _options.WithLazyRefcounts(false);
        await MarkCleanAsync(cancellationToken).ConfigureAwait(false);
        await ChangeVersionAsync(2).ConfigureAwait(false);
    }

    private async ValueTask RefuseDowngradeAsync(CancellationToken cancellationToken)
    {
        if ((_header.Incompatible & Qcow2Incompatible.DataFile) != 0) throw Invalid("Cannot downgrade an image with a data file");
        if (_header.RefcountBits != Qcow2CreateOptions.DefaultRefcountBits) throw Invalid("compat=0.10 requires refcount_bits=16");
        if (_snapshots.Exists(s => s.VmStateSize > uint.MaxValue || (long)(s.DiskSize ?? (ulong)Length) != Length))
        {
            throw Invalid("Internal snapshots prevent downgrade of image");
        }

        // Before the dirty bit is set: what cannot be read cannot be repaired either.
        foreach (SnapshotEntry snapshot in _snapshots) await ReadSnapshotL1Async(snapshot, cancellationToken).ConfigureAwait(false);

        // Differs from QEMU: it forgets the bitmaps, and their clusters leak.
        if (_directory.Count > 0 || Bitmaps.Named.Any(b => b.IsPersistent)) throw Invalid("Persistent bitmaps prevent downgrade of image");
        await SettleTablesAsync(cancellationToken).ConfigureAwait(false);
        await MarkCleanAsync(cancellationToken).ConfigureAwait(false);
        Qcow2Incompatible left = _header.Incompatible & ~(Qcow2Incompatible.Dirty | Qcow2Incompatible.CompressionType);
        if (left != 0) throw Invalid($"Cannot downgrade an image with incompatible features 0x{(ulong)left:x} set");
        if (_header.CompressionType != Qcow2CompressionType.Zlib && await HasCompressedClustersAsync(cancellationToken).ConfigureAwait(false))
        {
            throw Invalid("Cannot downgrade an image with zstd compression type and existing compressed clusters");
        }
    }

    private async ValueTask<bool> HasCompressedClustersAsync(CancellationToken cancellationToken)
    {
        foreach (ulong[] l1 in await AllL1TablesAsync(cancellationToken).ConfigureAwait(false))
        {
            var seen = new HashSet<long>();
            bool isFound = false;
            for (int i = 0; i < l1.Length && !isFound; i++)
            {
                var entry = new L1Entry(l1[i]);
                if (!entry.IsAllocated) continue;
                await VisitL2Async(i, entry, seen, (e, _) =>
                {
                    isFound |= e.IsCompressed;
                    return new(e);
                }, cancellationToken).ConfigureAwait(false);
            }

            if (isFound) return true;
        }

        return false;
    }

    private async ValueTask<List<ulong[]>> AllL1TablesAsync(CancellationToken cancellationToken)
    {
        List<ulong[]> tables = [TakeActiveL1()];
        foreach (SnapshotEntry snapshot in _snapshots) tables.Add(await ReadSnapshotL1Async(snapshot, cancellationToken).ConfigureAwait(false));
        return tables;
    }

    /// <summary>Zero clusters of the active disk become unallocated, or data.</summary>
    private async ValueTask ExpandZeroesAsync(long start, long end, CancellationToken cancellationToken)
    {
        while (start < end)
        {
            Mapping mapping = await MapAsync(start, end - start, cancellationToken).ConfigureAwait(false);
            long length = mapping.Length;
            switch (mapping.Kind)
            {
                case MappingKind.ZeroPlain when UnallocatedIsZero:
                    await ChangeEntriesAsync(
                        start, Align.Up(start + length, ClusterSize), EntryChange.Forget, DiscardReason.Other, cancellationToken).ConfigureAwait(false);
                    break;
                case MappingKind.ZeroPlain or MappingKind.ZeroAllocated:
                    length = Math.Min(length, IOBuffer.MaxTransfer);
                    await WriteZeroBytesAsync(start, start + length, cancellationToken).ConfigureAwait(false);
                    break;
            }

            start += length;
        }
    }

    /// <summary>Zero clusters in tables that only snapshots have become data. Needs the allocator's mutex.</summary>
    private async ValueTask ExpandSnapshotsAsync(Action done, CancellationToken cancellationToken)
    {
        var seen = new HashSet<long>();
        List<LostReference> lost = [];
        foreach (SnapshotEntry snapshot in _snapshots)
        {
            ulong[] l1 = await ReadSnapshotL1Async(snapshot, cancellationToken).ConfigureAwait(false);
            for (int i = 0; i < l1.Length; i++)
            {
                var entry = new L1Entry(l1[i]);
                if (entry.IsAllocated && seen.Add(entry.Table.Value)) await ExpandTableAsync(i, entry, lost, cancellationToken).ConfigureAwait(false);
                done();
            }
        }

        await WritebackAsync(WritebackScope.Close, CancellationToken.None).ConfigureAwait(false);
        foreach (LostReference reference in lost) await _allocator.ReleaseAsync(reference, CancellationToken.None).ConfigureAwait(false);
    }

    private async ValueTask ExpandTableAsync(int l1Index, L1Entry table, List<LostReference> lost, CancellationToken cancellationToken)
    {
        if (!Align.Is(table.Table.Value, ClusterSize))
        {
            throw await ReportCorruptionAsync(isFatal: true, $"L2 table offset {Hex(table.Table.Value)} unaligned (L1 index: {Hex(l1Index)})").ConfigureAwait(false);
        }

        ulong owners = await _allocator.GetRefcountAsync(table.Table.Value, cancellationToken).ConfigureAwait(false);
        long guest = l1Index * _l2.BytesPerTable;
        for (long host = table.Table.Value; host < table.Table.Value + ClusterSize; host += _l2.Slices.SliceSize)
        {
            TableSlice slice = await _l2.Slices.GetPinnedAsync(host, BlkdebugEvent.L2Load, cancellationToken).ConfigureAwait(false);
            try
            {
                for (int i = 0; i < _l2.ClustersPerSlice; i++, guest += ClusterSize)
                {
                    var entry = new L2Entry(BinaryPrimitives.ReadUInt64BigEndian(slice.Bytes.AsSpan(i * L2EntryBytes)));
                    if (!entry.IsZero) continue;
                    L2Entry expanded = await ExpandEntryAsync(entry, guest, owners, lost, cancellationToken).ConfigureAwait(false);
                    lock (TableLock)
                    {
                        BinaryPrimitives.WriteUInt64BigEndian(slice.Bytes.AsSpan(i * L2EntryBytes), expanded.Raw);
                        slice.MarkDirty(i * L2EntryBytes, L2EntryBytes);
                    }
                }
            }
            finally
            {
                _l2.Slices.Unpin(slice);
            }
        }
    }

    /// <summary>What a zero entry of a table with <paramref name="owners"/> owners becomes.</summary>
    private async ValueTask<L2Entry> ExpandEntryAsync(L2Entry entry, long guest, ulong owners, List<LostReference> lost, CancellationToken cancellationToken)
    {
        if (entry.Host.IsNone && UnallocatedIsZero) return L2Entry.Unallocated;

        // A cluster set aside is written in place only when nobody else's entry leads to it.
        bool isOwn = !entry.Host.IsNone && Align.Is(entry.Host.Value, ClusterSize)
            && await _allocator.GetRefcountAsync(entry.Host.Value, cancellationToken).ConfigureAwait(false) == owners;
        long host = entry.Host.Value;
        if (!isOwn)
        {
            host = (await _allocator.AllocateAsync(1, "data cluster", cancellationToken).ConfigureAwait(false)).Host;
            for (ulong i = 1; i < owners; i++)
            {
                await _allocator.AddReferenceAsync(host, ClusterSize, cancellationToken).ConfigureAwait(false);
                if (!entry.Host.IsNone) lost.Add(new LostReference(entry.Host.Value, ClusterSize, DiscardReason.Snapshot));
            }

            if (!entry.Host.IsNone) lost.Add(new LostReference(entry.Host.Value, ClusterSize, DiscardReason.Snapshot));
        }

        using IOBuffer zeros = IOBuffer.Rent(ClusterSize);
        zeros.Span.Clear();
        await WriteDataAsync(host, guest, zeros.Memory, cancellationToken).ConfigureAwait(false);
        L2Entry data = L2Entry.Standard(new(host));
        return owners == 1 && entry.IsCopied ? data : data.WithoutCopied();
    }
}
