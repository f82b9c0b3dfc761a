using System.Buffers.Binary;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

/// <content>The frame around changes of who owns tables and clusters; L1 tables that are copied.</content>
internal sealed partial class Qcow2Image
{
    /// <summary>Runs a change of owners: everything is written back and lowered before, the dirty bit set, and a failure repaired.</summary>
    /// <param name="change">Runs with the allocator's mutex held; clears the dirty bit when it is done.</param>
    /// <param name="cancellationToken">Ends it before the change begins.</param>
    private async ValueTask ChangeOwnersAsync(Func<ValueTask> change, CancellationToken cancellationToken)
    {
        await SettleTablesAsync(cancellationToken).ConfigureAwait(false);
        if (_header.Version >= 3)
        {
            await UpdateHeaderAsync(h => h with { Incompatible = h.Incompatible | Qcow2Incompatible.Dirty }, cancellationToken).ConfigureAwait(false);
        }

        try
        {
            using AsyncLock.Holder held = await _allocator.Mutex.EnterAsync().ConfigureAwait(false);
            await change().ConfigureAwait(false);
            await ReadInactiveTablesAsync(CancellationToken.None).ConfigureAwait(false);
            lock (TableLock) MapAllMetadata();
        }
        catch (Exception e) when (e is BlockException or OperationCanceledException)
        {
            await RepairOwnersAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Refcounts and flags are right again: on the disk, and then in the header.</summary>
    private async ValueTask EndChangeOfOwnersAsync()
    {
        await _allocator.LowerReadyAsync(CancellationToken.None).ConfigureAwait(false);
        await WritebackAsync(WritebackScope.Close, CancellationToken.None).ConfigureAwait(false);
        await UpdateHeaderAsync(WithoutDirty, CancellationToken.None).ConfigureAwait(false);
    }

    private Qcow2Header WithoutDirty(Qcow2Header header)
        => _options.LazyRefcounts || _needsRepair ? header : header with { Incompatible = header.Incompatible & ~Qcow2Incompatible.Dirty };

    /// <summary>Counts anew, as after a crash. Where the disk refuses that too, the next opening does it.</summary>
    private async ValueTask RepairOwnersAsync()
    {
        if (_isUnusable) return;
        try
        {
            await SettleHeaderAsync(CancellationToken.None).ConfigureAwait(false);
            await ReadSnapshotsAsync(forCheck: false, CancellationToken.None).ConfigureAwait(false);
            CheckResult result = await CheckAsync(CheckRepair.All, messages: null, CancellationToken.None).ConfigureAwait(false);
            _needsRepair = result.CheckErrors > 0 || result.Corruptions > 0;
            if (!_needsRepair && _options.LazyRefcounts) await MarkDirtyAsync(CancellationToken.None).ConfigureAwait(false);
        }
        catch (BlockException)
        {
            _needsRepair = true;
        }
    }

    /// <summary>Writes everything back and lowers every refcount that waits for it.</summary>
    private async ValueTask SettleTablesAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            await WritebackAsync(WritebackScope.Close, cancellationToken).ConfigureAwait(false);
            lock (TableLock)
            {
                Reclaim.Advance();
                if (!Reclaim.HasReady) return;
            }

            using AsyncLock.Holder held = await _allocator.Mutex.EnterAsync().ConfigureAwait(false);
            await _allocator.LowerReadyAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private ulong[] TakeActiveL1()
    {
        lock (TableLock)
        {
            var entries = new ulong[_l2.L1.Count];
            for (int i = 0; i < entries.Length; i++) entries[i] = _l2.L1[i];
            return entries;
        }
    }

    private void PutActiveL1(ulong[] entries)
    {
        lock (TableLock)
        {
            for (int i = 0; i < entries.Length; i++)
            {
                if (_l2.L1[i] != entries[i]) _l2.L1[i] = entries[i];
            }

            OnAllocationChanged();
        }
    }

    /// <summary>Writes an L1 table to clusters of its own; durable with the next write-back. Needs the allocator's mutex.</summary>
    private async ValueTask<ClusterAllocator.Run> WriteL1CopyAsync(ulong[] entries, CancellationToken cancellationToken)
    {
        if (entries.Length == 0) return default;
        int clusterCount = (int)Align.Count((long)entries.Length * L1EntryBytes, ClusterSize);
        ClusterAllocator.Run run = await _allocator.AllocateContiguousAsync(clusterCount, "L1 table", cancellationToken).ConfigureAwait(false);
        using IOBuffer bytes = IOBuffer.Rent(clusterCount << _header.ClusterBits);
        bytes.Span.Clear();
        for (int i = 0; i < entries.Length; i++) BinaryPrimitives.WriteUInt64BigEndian(bytes.Span[(i * L1EntryBytes)..], entries[i]);
        await _file.Node.WriteAsync(run.Host, bytes.Memory, WriteFlags.None, cancellationToken).ConfigureAwait(false);
        return run;
    }

    /// <summary>Makes other tables the active ones, and their disk size with them. Needs the allocator's mutex.</summary>
    private async ValueTask SwitchL1Async(ulong[] entries, long length, CancellationToken cancellationToken)
    {
        ClusterAllocator.Run run = await WriteL1CopyAsync(entries, cancellationToken).ConfigureAwait(false);
        await WritebackAsync(WritebackScope.Close, cancellationToken).ConfigureAwait(false);
        await UpdateHeaderAsync(
            h => h with { L1Table = new(run.Host), L1Size = entries.Length, VirtualSize = length }, CancellationToken.None).ConfigureAwait(false);
        lock (TableLock)
        {
            ResidentTable old = _l2.L1;
            _l2.L1 = new ResidentTable(run.Host, entries);
            if (old.Count > 0) Reclaim.BecameDurable([new LostReference(old.Host, old.Count * (long)L1EntryBytes, DiscardReason.Other)]);
            MapAllMetadata();
        }
    }

    /// <summary>The L1 table of a snapshot.</summary>
    /// <exception cref="BlockException">The entry is wrong, or the table cannot be read.</exception>
    private async ValueTask<ulong[]> ReadSnapshotL1Async(SnapshotEntry entry, CancellationToken cancellationToken)
    {
        if (WrongL1Of(entry) is { } wrong) throw new BlockException(BlockErrorKind.Corrupt, wrong) { NodeName = NodeName, Errno = Errno.EINVAL };
        if (!IsL1InFile(entry))
        {
            // Differs from QEMU: a table that is not there is no table of zeros; a KiB of file would claim 32 MiB of them for each snapshot.
            throw new BlockException(BlockErrorKind.Corrupt, "Snapshot L1 table lies beyond the end of the file") { NodeName = NodeName, Errno = Errno.EINVAL };
        }

        ResidentTable table = await ReadTableAsync(entry.L1Table, (int)entry.L1Size, cancellationToken).ConfigureAwait(false);
        var entries = new ulong[table.Count];
        for (int i = 0; i < entries.Length; i++) entries[i] = table[i];
        return entries;
    }
}
