using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;

namespace Varve.Formats.Qcow2;

/// <content>The snapshot table: read before anything is counted, and where errors are repaired written anew after the refcounts are right.</content>
/// <remarks>What a repair drops from it makes an image that nobody but a check opens: until the new table is durable nothing relies on
/// the references it no longer has.</remarks>
internal sealed partial class Qcow2Check
{
    private const string AdviceToRepair = "with qemu-img check -r all";

    private List<SnapshotEntry> _snapshots = [];
    private long _snapshotTableBytes;
    private long _snapshotRepairs;
    private bool _areEntriesChanged;    // others than those cut off behind the last that remains
    private bool _isSnapshotTableCounted;

    /// <summary>Reads the table, and says what is wrong with it.</summary>
    /// <exception cref="BlockException">It cannot be used, and errors are not to be repaired.</exception>
    private async ValueTask ReadSnapshotsAsync(CancellationToken cancellationToken)
    {
        int count = _header.SnapshotCount;
        if (count == 0) return;
        if (!_header.IsSnapshotTableValid) throw TableError(Errno.EINVAL, "ERROR snapshot table offset invalid", hint: null);
        if (count > Qcow2Header.MaxSnapshotCount)
        {
            int tooMany = count - Qcow2Header.MaxSnapshotCount;
            Discard(tooMany, $"Discarding {tooMany} overhanging snapshots", "ERROR snapshot table too large", $"all {tooMany} overhanging snapshots");
        }

        (_snapshots, _snapshotTableBytes) = await SnapshotTableReader.ReadAsync(_file, _header, Discard, cancellationToken).ConfigureAwait(false);
        if (_header.Version < 3) return;
        for (int i = 0; i < _snapshots.Count; i++)
        {
            if (_snapshots[i].StoredExtraSize >= SnapshotEntry.ExtraWithDiskSize) continue;
            if (RepairsErrors)
            {
                Say($"Repairing snapshot table entry {i} is incomplete");
                _snapshotRepairs++;
                _areEntriesChanged = true;
            }
            else
            {
                Corruption($"ERROR snapshot table entry {i} is incomplete");
            }
        }
    }

    private void Discard(SnapshotTableFault fault)
    {
        Discard(fault.Count, fault.Repair, $"ERROR failed to read the snapshot table: {fault.Message}", fault.Removable);
        _areEntriesChanged |= fault.IsInEntry;
    }

    private void Discard(int count, string repair, string error, string what)
    {
        if (!RepairsErrors) throw TableError(Errno.EFBIG, error, $"You can force-remove {what} {AdviceToRepair}");
        Say(repair);
        _snapshotRepairs += count;
    }

    private static BlockException TableError(int errno, string message, string? hint)
        => new(Errno.KindOf(errno), Errno.Text(errno), new BlockException(BlockErrorKind.Corrupt, message) { Hint = hint }) { Errno = errno };

    private async ValueTask CountSnapshotsAsync(CancellationToken cancellationToken)
    {
        foreach (SnapshotEntry entry in _snapshots)
        {
            long l1Table = entry.L1Table.Value;
            string who = $"snapshot {entry.IdText} ({entry.NameText})";
            if (!Align.Is(l1Table, ClusterSize))
            {
                Corruption($"ERROR {who} l1_offset=0x{l1Table:x}: L1 table is not cluster aligned; snapshot table entry corrupted");
            }
            else if (entry.L1Size > Qcow2Header.MaxL1Bytes / 8)
            {
                Corruption($"ERROR {who} l1_size=0x{entry.L1Size:x}: L1 table is too large; snapshot table entry corrupted");
            }
            else
            {
                await CountL1Async(l1Table, entry.L1Size, isActive: false, cancellationToken).ConfigureAwait(false);
            }
        }

        _isSnapshotTableCounted = Count(_header.SnapshotTable.Value, _snapshotTableBytes);
    }

    /// <summary>Writes the table anew where entries were repaired; where some were cut off, only the header changes.</summary>
    private async ValueTask RepairSnapshotsAsync(CancellationToken cancellationToken)
    {
        if (_snapshotRepairs == 0) return;
        try
        {
            if (_areEntriesChanged || _snapshots.Count == 0)
            {
                // What no refcount counts is not given back.
                long oldSize = _isSnapshotTableCounted ? _snapshotTableBytes : 0;
                await _image.RepairSnapshotTableAsync(_snapshots, oldSize, cancellationToken).ConfigureAwait(false);
            }
            else
            {
                await _image.CutSnapshotTableAsync(_snapshots.Count, cancellationToken).ConfigureAwait(false);
            }
        }
        catch (BlockException e)
        {
            Say($"ERROR failed to update snapshot table: {e.Message}");
            throw;
        }

        _result.CorruptionsFixed += _snapshotRepairs;
    }
}
