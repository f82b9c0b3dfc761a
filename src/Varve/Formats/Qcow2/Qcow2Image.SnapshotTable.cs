using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

/// <content>The snapshot table: read at opening, written anew whenever a snapshot comes or goes.</content>
internal sealed partial class Qcow2Image
{
    /// <summary>How many bytes of snapshots' L1 tables are guarded at most: an image can claim more than memory holds.</summary>
    private const long MaxGuardedBytes = 128 << 20;

    private List<SnapshotEntry> _snapshots = [];
    private long _snapshotTableBytes;

    /// <summary>Where the L2 tables of snapshots lie, if those are guarded (<c>overlap-check.inactive-l2</c>).</summary>
    private HashSet<long> _inactiveTables = [];

    /// <summary>Reads the table.</summary>
    /// <exception cref="BlockException">It cannot be read: memory knows what it knew before, or the next table would be written without it.</exception>
    private async ValueTask ReadSnapshotsAsync(bool forCheck, CancellationToken cancellationToken)
    {
        (_snapshots, _snapshotTableBytes) = _header.IsSnapshotTableValid
            ? await SnapshotTableReader.ReadAsync(_file.Node, _header, forCheck ? _ => { } : Refuse, cancellationToken).ConfigureAwait(false)
            : ([], 0);      // what is wrong then is for the check to report, here and above

        void Refuse(SnapshotTableFault fault) => throw new BlockException(fault.Kind, fault.Message) { NodeName = NodeName, Hint = fault.Hint };
    }

    /// <summary>Notes where the snapshot table and the snapshots' L1 tables lie. Needs the table lock.</summary>
    private void MapSnapshots()
    {
        long guarded = 0;
        foreach (SnapshotEntry entry in _snapshots)
        {
            // One that lies is for the check to report; it is not followed. Many long ones are guarded up to a bound.
            if (guarded + entry.L1Size * 8 > MaxGuardedBytes || WrongL1Of(entry) is not null) continue;
            guarded += entry.L1Size * 8;
            MetadataMap.Add(entry.L1Table.Value, entry.L1Size * 8, MetadataKind.InactiveL1);
        }

        MetadataMap.Add(_header.SnapshotTable.Value, _snapshotTableBytes, MetadataKind.SnapshotTable);
    }

    /// <summary>Reads which L2 tables the snapshots hold, where the options want them guarded. Tables outside the file are none.</summary>
    private async ValueTask ReadInactiveTablesAsync(CancellationToken cancellationToken)
    {
        var tables = new HashSet<long>();
        long guarded = 0;
        foreach (SnapshotEntry entry in _options.OverlapChecks.Includes(MetadataKind.InactiveL2) ? _snapshots : [])
        {
            if (WrongL1Of(entry) is not null || !IsL1InFile(entry)) continue;
            if ((guarded += entry.L1Size * 8) > MaxGuardedBytes) break;
            foreach (ulong raw in await ReadSnapshotL1Async(entry, cancellationToken).ConfigureAwait(false))
            {
                if (new L1Entry(raw) is { IsAllocated: true } table) tables.Add(table.Table.Value);
            }
        }

        _inactiveTables = tables;
    }

    /// <summary>Why a snapshot's L1 table cannot be one; null when it can.</summary>
    private string? WrongL1Of(SnapshotEntry entry)
        => entry.L1Size > Qcow2Header.MaxL1Bytes / 8 ? "Snapshot L1 table too large"
            : entry.L1Table.Value < 0 || !Align.Is(entry.L1Table.Value, ClusterSize) || entry.L1Table.Value > long.MaxValue - entry.L1Size * 8
                ? "Snapshot L1 table offset invalid"
            : null;

    /// <summary>Whether the file reaches to the end of a snapshot's L1 table, which is one that can be.</summary>
    private bool IsL1InFile(SnapshotEntry entry) => entry.L1Table.Value + (entry.L1Size * L1EntryBytes) <= Align.Up(_file.Node.Length, ClusterSize);

    /// <summary>Puts a new table in the place of the old: written and durable, then named by the header, in one sector with what else
    /// the header has to say. Needs the allocator's mutex.</summary>
    /// <param name="snapshots">The new entries.</param>
    /// <param name="change">What else changes in the header.</param>
    /// <param name="cancellationToken">Honoured until the first write.</param>
    private async ValueTask ReplaceSnapshotTableAsync(
        List<SnapshotEntry> snapshots, Func<Qcow2Header, Qcow2Header> change, CancellationToken cancellationToken)
    {
        long size = snapshots.Sum(s => (long)s.EncodedSize);
        if (size > SnapshotEntry.MaxTableBytes) throw BlockException.FromErrno(Errno.EFBIG);
        long oldHost = _header.SnapshotTable.Value, oldSize = _snapshotTableBytes;
        ClusterAllocator.Run run = size == 0
            ? default
            : await _allocator.AllocateContiguousAsync((int)Align.Count(size, ClusterSize), "snapshot table", cancellationToken).ConfigureAwait(false);
        try
        {
            if (size > 0) await WriteSnapshotTableAsync(run.Host, size, snapshots).ConfigureAwait(false);
            await WritebackAsync(WritebackScope.Close, CancellationToken.None).ConfigureAwait(false);
            await UpdateHeaderAsync(
                h => change(h) with { SnapshotTable = new(run.Host), SnapshotCount = snapshots.Count }, CancellationToken.None).ConfigureAwait(false);
        }
        catch when (!_headerIsUncertain)
        {
            if (size > 0) await _allocator.FreeUnlinkedAsync(run).ConfigureAwait(false);   // with the header in doubt the clusters leak instead
            throw;
        }

        (_snapshots, _snapshotTableBytes) = (snapshots, size);
        lock (TableLock)
        {
            MetadataMap.Remove(oldHost, oldSize);
            MapSnapshots();
            if (oldSize > 0) Reclaim.BecameDurable([new LostReference(oldHost, oldSize, DiscardReason.Other)]);
        }
    }

    /// <summary>Makes every entry say what entries of version 3 must say: before the version changes, in which the longer ones are valid too.</summary>
    private async ValueTask CompleteSnapshotTableAsync()
    {
        if (_snapshots.TrueForAll(s => s.StoredExtraSize >= SnapshotEntry.ExtraWithDiskSize)) return;
        using AsyncLock.Holder held = await _allocator.Mutex.EnterAsync().ConfigureAwait(false);
        List<SnapshotEntry> complete = _snapshots.ConvertAll(s => s with { StoredExtraSize = SnapshotEntry.KnownExtraSize + s.UnknownExtra.Length });
        await ReplaceSnapshotTableAsync(complete, h => h, CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>Writes a table that a check has repaired. Refcounts on the disk are right, and what is cached of them is not.</summary>
    /// <param name="snapshots">The entries that remain.</param>
    /// <param name="oldSize">Bytes of the old table that refcounts count.</param>
    /// <param name="cancellationToken">Honoured until the first write.</param>
    internal async ValueTask RepairSnapshotTableAsync(List<SnapshotEntry> snapshots, long oldSize, CancellationToken cancellationToken)
    {
        await ReadChangedTablesAsync().ConfigureAwait(false);
        _snapshotTableBytes = oldSize;
        using (await _allocator.Mutex.EnterAsync().ConfigureAwait(false))
        {
            await ReplaceSnapshotTableAsync(snapshots, h => h, cancellationToken).ConfigureAwait(false);
        }

        await FlushCoreAsync(cancellationToken).ConfigureAwait(false);      // the old table is free now
        await WritebackAsync(WritebackScope.Close, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Leaves the table where it is, with its first entries only. Refcounts on the disk do not count the others any more.</summary>
    internal async ValueTask CutSnapshotTableAsync(int count, CancellationToken cancellationToken)
    {
        await UpdateHeaderAsync(h => h with { SnapshotCount = count }, cancellationToken).ConfigureAwait(false);
        await ReadChangedTablesAsync().ConfigureAwait(false);
    }

    private async ValueTask WriteSnapshotTableAsync(long host, long size, List<SnapshotEntry> snapshots)
    {
        using IOBuffer bytes = IOBuffer.Rent((int)size);
        int at = 0;
        foreach (SnapshotEntry entry in snapshots)
        {
            entry.WriteTo(bytes.Span[at..], Length);
            at += entry.EncodedSize;
        }

        await RefuseOverlapAsync(host, size).ConfigureAwait(false);
        await _file.Node.WriteAsync(host, bytes.Memory, WriteFlags.None, CancellationToken.None).ConfigureAwait(false);
        await _file.Node.FlushAsync(CancellationToken.None).ConfigureAwait(false);
    }
}
