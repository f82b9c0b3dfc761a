using System.Buffers.Binary;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;

namespace Varve.Formats.Qcow2;

// Changing the refcounts of everything an L1 table leads to
//   1. A refcount counts paths: header, snapshots -> L1 -> L2 -> cluster. So a new owner of an L1 table's content raises the refcount of
//      every L2 table and every cluster by one, and an owner that goes lowers them.
//   2. Flags (bit 63) and refcounts cannot change in one step. A version 3 image carries the dirty bit meanwhile: whoever opens it after
//      a crash puts both right. In version 2 a crash may leave flags that are too careful, or refcounts that are too high.
//   3. The node is drained and everything is written back before: nothing else is dirty, no request holds a mapping.

/// <content>Walks through the tables under an L1 table.</content>
internal sealed partial class Qcow2Image
{
    private const int L1EntryBytes = 8;

    /// <summary>Bytes of an L2 entry; the first eight say where the cluster lies.</summary>
    private int L2EntryBytes => ClusterSize / _header.L2Entries;

    /// <summary>What becomes of an L2 entry, seen at its place in the table.</summary>
    private delegate ValueTask<L2Entry> L2Visitor(L2Entry entry, CancellationToken cancellationToken);

    /// <summary>One more owner: raises refcounts, and takes back the flags that allowed to write in place. Needs the allocator's mutex.</summary>
    /// <returns>The L1 entries without flags.</returns>
    private async ValueTask<ulong[]> AddOwnerAsync(ulong[] l1, CancellationToken cancellationToken)
    {
        var shared = new ulong[l1.Length];
        var seen = new HashSet<long>();
        for (int i = 0; i < l1.Length; i++)
        {
            var entry = new L1Entry(l1[i]);
            shared[i] = (ulong)entry.Table.Value;
            if (!entry.IsAllocated) continue;
            await VisitL2Async(i, entry, seen, async (e, token) =>
            {
                if (ExtentOf(e) is { } extent) await _allocator.AddReferenceAsync(extent.Host, extent.Length, token).ConfigureAwait(false);
                return e.WithoutCopied();
            }, cancellationToken).ConfigureAwait(false);
            await _allocator.AddReferenceAsync(entry.Table.Value, ClusterSize, cancellationToken).ConfigureAwait(false);
        }

        return shared;
    }

    /// <summary>An owner less: lowers refcounts. What it owned is not linked from the disk any more. Needs the allocator's mutex.</summary>
    private async ValueTask RemoveOwnerAsync(ulong[] l1, CancellationToken cancellationToken)
    {
        var seen = new HashSet<long>();
        for (int i = 0; i < l1.Length; i++)
        {
            var entry = new L1Entry(l1[i]);
            if (!entry.IsAllocated) continue;
            await VisitL2Async(i, entry, seen, async (e, token) =>
            {
                if (ExtentOf(e) is { } extent)
                {
                    await _allocator.ReleaseAsync(new LostReference(extent.Host, extent.Length, DiscardReason.Snapshot), token).ConfigureAwait(false);
                }

                return e;
            }, cancellationToken).ConfigureAwait(false);
            await _allocator.ReleaseAsync(new LostReference(entry.Table.Value, ClusterSize, DiscardReason.Snapshot), cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Makes the flags of the active tables say what the refcounts say: exactly one. Needs the allocator's mutex.</summary>
    private async ValueTask RefreshCopiedFlagsAsync(CancellationToken cancellationToken)
    {
        var seen = new HashSet<long>();
        for (int i = 0; i < _l2.L1.Count; i++)
        {
            L1Entry entry;
            lock (TableLock) entry = new L1Entry(_l2.L1[i]);
            if (!entry.IsAllocated) continue;
            await VisitL2Async(i, entry, seen, async (e, token) =>
            {
                if (e.IsCompressed || e.Host.IsNone) return e.WithoutCopied();
                ulong refcount = await _allocator.GetRefcountAsync(e.Host.Value, token).ConfigureAwait(false);
                return refcount == 1 ? e.WithCopied() : e.WithoutCopied();
            }, cancellationToken).ConfigureAwait(false);
            bool isOwn = await _allocator.GetRefcountAsync(entry.Table.Value, cancellationToken).ConfigureAwait(false) == 1;
            L1Entry refreshed = isOwn ? L1Entry.Of(entry.Table) : new L1Entry((ulong)entry.Table.Value);
            lock (TableLock)
            {
                if (refreshed != entry) _l2.L1[i] = refreshed.Raw;
            }
        }
    }

    /// <summary>The host bytes an entry refers to; null when it refers to none.</summary>
    private (long Host, long Length)? ExtentOf(L2Entry entry)
    {
        if (entry.IsCompressed)
        {
            CompressedExtent extent = entry.Compressed(_header.ClusterBits);
            return (extent.Host.Value, extent.MaxLength);
        }

        return entry.Host.IsNone ? null : (entry.Host.Value, ClusterSize);
    }

    /// <summary>Visits every entry of an L2 table that is not empty, and stores what the visitor makes of it.</summary>
    private async ValueTask VisitL2Async(int l1Index, L1Entry table, HashSet<long> seen, L2Visitor visit, CancellationToken cancellationToken)
    {
        long host = table.Table.Value;
        if (!Align.Is(host, ClusterSize) || host >= _file.Node.Length)
        {
            throw await ReportCorruptionAsync(isFatal: true, $"L2 table offset {Hex(host)} unaligned (L1 index: {Hex(l1Index)})").ConfigureAwait(false);
        }

        if (!seen.Add(host))
        {
            throw await ReportCorruptionAsync(isFatal: true, $"L2 table offset {Hex(host)} used twice (L1 index: {Hex(l1Index)})").ConfigureAwait(false);
        }

        for (long slice = host; slice < host + ClusterSize; slice += _l2.Slices.SliceSize)
        {
            TableSlice pinned = await _l2.Slices.GetPinnedAsync(slice, BlkdebugEvent.L2Load, cancellationToken).ConfigureAwait(false);
            try
            {
                await VisitSliceAsync(pinned, visit, cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                _l2.Slices.Unpin(pinned);
            }
        }
    }

    private async ValueTask VisitSliceAsync(TableSlice slice, L2Visitor visit, CancellationToken cancellationToken)
    {
        for (int at = 0; at < slice.Bytes.Length; at += L2EntryBytes)
        {
            var entry = new L2Entry(BinaryPrimitives.ReadUInt64BigEndian(slice.Bytes.AsSpan(at)));
            if (entry.Raw == 0) continue;
            if (!entry.IsCompressed && !Align.Is(entry.Host.Value, ClusterSize))
            {
                throw await ReportCorruptionAsync(
                    isFatal: true, $"Cluster {Hex(entry.Host.Value)} unaligned (L2 offset: {Hex(slice.Host)}, L2 index: {Hex(at / L2EntryBytes)})")
                    .ConfigureAwait(false);
            }

            L2Entry changed = await visit(entry, cancellationToken).ConfigureAwait(false);
            if (changed == entry) continue;
            lock (TableLock)
            {
                BinaryPrimitives.WriteUInt64BigEndian(slice.Bytes.AsSpan(at), changed.Raw);
                slice.MarkDirty(at, 8);
            }
        }
    }
}
