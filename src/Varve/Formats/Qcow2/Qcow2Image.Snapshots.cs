using System.Globalization;
using System.Text;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

// Snapshots: what a power loss may leave
//   Creating: refcounts are raised and flags taken back, the copy of the L1 table and the new snapshot table written, all of it durable;
//   then one sector of the header names the new table. Before that the image is the old one, with refcounts that are too high.
//   Applying: refcounts of the snapshot's tables are raised, a copy of its L1 table written, all durable; then one sector of the header
//   names that copy and the snapshot's disk size. Afterwards the old content's refcounts are lowered.
//   Deleting: one sector of the header names a snapshot table without it; then refcounts are lowered, then flags given back.
//   The dirty bit is set from before the first of these steps to the last, where the version has it (see Qcow2Image.References.cs).
// What fails before the header changes is undone by a repair, as after a crash.

/// <content>Internal snapshots.</content>
internal sealed partial class Qcow2Image
{
    private const int MaxIdOrNameBytes = 255;

    /// <summary>A change of refcounts failed and could not be undone: the dirty bit stays, so that the next opening repairs.</summary>
    private bool _needsRepair;

    /// <summary>The node shows a snapshot instead of the active disk: it stays read-only.</summary>
    private bool _showsSnapshot;

    public override IReadOnlyList<InternalSnapshot> InternalSnapshots => _snapshots.ConvertAll(s => s.ToSnapshot(Length));

    /// <inheritdoc/>
    public override async ValueTask<InternalSnapshot> CreateSnapshotAsync(InternalSnapshot snapshot, CancellationToken cancellationToken)
    {
        RefuseSnapshots();
        if (_snapshots.Count >= Qcow2Header.MaxSnapshotCount) throw BlockException.FromErrno(Errno.EFBIG);
        string id = snapshot.Id.Length > 0 ? snapshot.Id : NewSnapshotId();
        byte[] idBytes = Encoding.UTF8.GetBytes(id);
        if (_snapshots.Exists(s => s.Id.AsSpan().SequenceEqual(idBytes))) throw BlockException.FromErrno(Errno.EEXIST);
        await PrepareForWritingAsync(cancellationToken).ConfigureAwait(false);
        SnapshotEntry entry = null!;
        await ChangeOwnersAsync(async () =>
        {
            ulong[] shared = await AddOwnerAsync(TakeActiveL1(), cancellationToken).ConfigureAwait(false);
            PutActiveL1(shared);
            ClusterAllocator.Run run = await WriteL1CopyAsync(shared, cancellationToken).ConfigureAwait(false);
            entry = new SnapshotEntry
            {
                L1Table = new(run.Host),
                L1Size = shared.Length,
                Id = idBytes,
                Name = Shorten(snapshot.Name),
                DateSeconds = (uint)snapshot.DateSeconds,
                DateNanoseconds = (uint)snapshot.DateNanoseconds,
                VmClock = (ulong)snapshot.VmClockNanoseconds,
                VmStateSize = (ulong)snapshot.VmStateSize,
                DiskSize = (ulong)Length,
                InstructionCount = (ulong?)snapshot.InstructionCount,
            };
            await ReplaceSnapshotTableAsync([.. _snapshots, entry], WithoutDirty, cancellationToken).ConfigureAwait(false);
        }, cancellationToken).ConfigureAwait(false);
        await GiveUpVmStateAsync(snapshot.VmStateSize, cancellationToken).ConfigureAwait(false);
        return entry.ToSnapshot(Length);
    }

    /// <inheritdoc/>
    public override async ValueTask ApplySnapshotAsync(string idOrName, CancellationToken cancellationToken)
    {
        RefuseSnapshots();
        SnapshotEntry entry = FindSnapshot(idOrName) ?? throw BlockException.FromErrno(Errno.ENOENT, "Failed to load snapshot");
        ulong[] l1 = await ReadSnapshotL1Async(entry, cancellationToken).ConfigureAwait(false);
        long length = (long)(entry.DiskSize ?? (ulong)Length);
        long needed = length < 0 || length > long.MaxValue >> 1 ? long.MaxValue : _header.L1EntriesFor(length);
        if (needed > Qcow2Header.MaxL1Bytes / 8) throw BlockException.FromErrno(Errno.EFBIG);
        await PrepareForWritingAsync(cancellationToken).ConfigureAwait(false);
        await ChangeOwnersAsync(async () =>
        {
            ulong[] shared = await AddOwnerAsync(l1, cancellationToken).ConfigureAwait(false);
            Array.Resize(ref shared, Math.Max(shared.Length, (int)needed));
            ulong[] old = TakeActiveL1();
            await SwitchL1Async(shared, length, cancellationToken).ConfigureAwait(false);
            await RemoveOwnerAsync(old, CancellationToken.None).ConfigureAwait(false);
            await RefreshCopiedFlagsAsync(CancellationToken.None).ConfigureAwait(false);
            await EndChangeOfOwnersAsync().ConfigureAwait(false);
        }, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public override async ValueTask DeleteSnapshotAsync(string? id, string? name, CancellationToken cancellationToken)
    {
        RefuseSnapshots();
        int index = _snapshots.FindIndex(s => (id is null || s.IdText == id) && (name is null || s.NameText == name));
        if (index < 0) throw new BlockException(BlockErrorKind.NotFound, "Can't find the snapshot") { NodeName = NodeName };
        SnapshotEntry entry = _snapshots[index];
        ulong[] l1 = await ReadSnapshotL1Async(entry, cancellationToken).ConfigureAwait(false);
        await PrepareForWritingAsync(cancellationToken).ConfigureAwait(false);
        await ChangeOwnersAsync(async () =>
        {
            await ReplaceSnapshotTableAsync([.. _snapshots.Where((_, i) => i != index)], h => h, cancellationToken).ConfigureAwait(false);
            await FreeSnapshotTableAsync().ConfigureAwait(false);
            await FreeSnapshotAsync(entry, l1).ConfigureAwait(false);
            await RefreshCopiedFlagsAsync(CancellationToken.None).ConfigureAwait(false);
            await EndChangeOfOwnersAsync().ConfigureAwait(false);
        }, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The table that the header named before is free. Where that fails it leaks, which is for the frame to repair.</summary>
    private async ValueTask FreeSnapshotTableAsync()
    {
        try
        {
            await _allocator.LowerReadyAsync(CancellationToken.None).ConfigureAwait(false);
            await WritebackAsync(WritebackScope.Refcounts, CancellationToken.None).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            Graph.OnNotice($"qcow2_free_clusters failed: {e.Message}");
        }
    }

    /// <summary>Gives up what a snapshot held that is in the snapshot table no more.</summary>
    private async ValueTask FreeSnapshotAsync(SnapshotEntry entry, ulong[] l1)
    {
        try
        {
            await RemoveOwnerAsync(l1, CancellationToken.None).ConfigureAwait(false);
            if (entry.L1Size == 0) return;
            lock (TableLock) MetadataMap.Remove(entry.L1Table.Value, entry.L1Size * 8);
            var table = new LostReference(entry.L1Table.Value, entry.L1Size * L1EntryBytes, DiscardReason.Snapshot);
            await _allocator.ReleaseAsync(table, CancellationToken.None).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            throw new BlockException(e.Kind, $"Failed to free the cluster and L1 table: {e.Message}", e) { Errno = e.Errno, NodeName = NodeName };
        }
    }

    /// <inheritdoc/>
    public override async ValueTask LoadSnapshotAsync(InternalSnapshot snapshot, CancellationToken cancellationToken)
    {
        SnapshotEntry entry = _snapshots.Find(s => s.IdText == snapshot.Id && s.NameText == snapshot.Name)
            ?? throw new BlockException(BlockErrorKind.NotFound, "Can't find snapshot") { NodeName = NodeName };
        ulong[] l1 = await ReadSnapshotL1Async(entry, cancellationToken).ConfigureAwait(false);
        long length = entry.ToSnapshot(Length).DiskSize;
        if (length > long.MaxValue >> 1) throw BlockException.FromErrno(Errno.EFBIG);
        _showsSnapshot = true;
        lock (TableLock)
        {
            // In memory alone, and never written: the node is read-only for good.
            _header = _header with { VirtualSize = length, L1Table = entry.L1Table, L1Size = l1.Length };
            _l2.L1 = new ResidentTable(entry.L1Table.Value, l1);
        }
    }

    private void RefuseSnapshots()
    {
        if (_isUnusable) throw Unusable();
        if (_showsSnapshot || HasDataFile) throw BlockException.FromErrno(Errno.EOPNOTSUPP);
    }

    private SnapshotEntry? FindSnapshot(string idOrName)
        => _snapshots.Find(s => s.IdText == idOrName) ?? _snapshots.Find(s => s.NameText == idOrName);

    /// <summary>One more than the largest number among the ids.</summary>
    private string NewSnapshotId()
    {
        ulong largest = 0;
        foreach (SnapshotEntry entry in _snapshots)
        {
            string digits = new([.. entry.IdText.TakeWhile(char.IsAsciiDigit)]);
            if (ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out ulong id)) largest = Math.Max(largest, id);
        }

        return (largest + 1).ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>A name as long as the reference keeps it.</summary>
    private static byte[] Shorten(string name)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(name);
        return bytes.Length <= MaxIdOrNameBytes ? bytes : bytes[..MaxIdOrNameBytes];
    }
}
