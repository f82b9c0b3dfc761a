using Varve.Formats.Qcow2.Metadata;

namespace Varve.Formats.Qcow2;

/// <content>How far the check is, in bytes of L2 tables that were looked at, or need not be.</content>
internal sealed partial class Qcow2Check
{
    private long _doneBytes, _plannedBytes;

    /// <summary>The tables of the disk and of every snapshot are about to be walked, and the disk's again for its flags.</summary>
    private void PlanWalk()
    {
        _plannedBytes += 2 * BytesOfTables(_header.L1Size);
        foreach (SnapshotEntry entry in _snapshots) _plannedBytes += BytesOfTables(Math.Min(entry.L1Size, Qcow2Header.MaxL1Bytes / 8));
        if (_isRecount) _plannedBytes -= BytesOfTables(_header.L1Size);      // the flags are looked at once
    }

    private long BytesOfTables(long l1Size) => l1Size * ClusterSize;

    /// <summary>So many entries of an L1 table are done with.</summary>
    private void Advance(long entries)
    {
        _doneBytes += BytesOfTables(entries);
        _image.Graph.OnProgress(_doneBytes, _plannedBytes);
    }
}
