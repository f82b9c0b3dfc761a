using System.Globalization;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;

namespace Varve.Formats.Qcow2;

// A check counts every reference anew, from the header down, and compares the counts with the refcounts on disk.
//   1. It reads the file alone, never a cache: what it judges is what the next program that opens the image will see.
//   2. A refcount that is too low is a corruption (the cluster may be handed out again), one that is too high a leak.
//   3. Repairs follow the order of all metadata: refcounts are right and durable before an entry says it may be written in place.
//      Refcounts are rebuilt beside the old ones, and the header changes over in one sector.
//   4. A table that could not be read may refer to anything: then nothing is repaired, or clusters in use would be taken for leaks.
//   5. Tables are read in pieces and counters are sparse: a hostile image costs bounded memory, and time in proportion to its file.

/// <summary>One run of the consistency check, with or without repair, in the reference's words.</summary>
internal sealed partial class Qcow2Check
{
    private const int PieceBytes = 1 << 16;

    /// <summary>How far a file is grown to reach a refcount block. Differs from QEMU, which grows it to wherever an image says.</summary>
    private const long MaxGrowth = 64 << 20;
    private readonly Qcow2Image _image;
    private readonly BlockNode _file;
    private CheckRepair _repair;
    private readonly IProgress<string>? _messages;
    private readonly CheckResult _result = new();
    private Qcow2Header _header;
    private long _fileLength, _clusterCount, _overhang;
    private ReferenceCounts _references;
    private RefcountFile _refcounts = null!;
    private bool _mustRebuild;
    private bool _isRecount;

    public Qcow2Check(Qcow2Image image, CheckRepair repair, IProgress<string>? messages)
    {
        _image = image;
        _file = image.File.Node;
        _repair = repair;
        _messages = messages;
        _header = image.Header;
        _references = new ReferenceCounts(_header.RefcountOrder);
    }

    private int ClusterSize => _header.ClusterSize;

    private bool RepairsErrors => (_repair & CheckRepair.Errors) != 0;

    private bool RepairsLeaks => (_repair & CheckRepair.Leaks) != 0;

    /// <exception cref="BlockException">The check could not be done, or <c>-r leaks</c> met refcounts that must be rebuilt.</exception>
    public async ValueTask<CheckResult> RunAsync(CancellationToken cancellationToken)
    {
        _fileLength = _file.Length;
        _clusterCount = Align.Count(_fileLength, ClusterSize);
        await ReadSnapshotsAsync(cancellationToken).ConfigureAwait(false);
        _result.TotalClusters = Align.Count(_header.VirtualSize, ClusterSize);
        _refcounts = await RefcountFile.ReadAsync(_file, _header, cancellationToken).ConfigureAwait(false);
        await CountAllAsync(cancellationToken).ConfigureAwait(false);
        if (_result.CheckErrors > 0) _repair = CheckRepair.None;
        await CompareAndRepairAsync(cancellationToken).ConfigureAwait(false);
        await _refcounts.WriteBackAsync(cancellationToken).ConfigureAwait(false);
        if (_repair != CheckRepair.None) await _file.FlushAsync(cancellationToken).ConfigureAwait(false);
        await CheckCopiedFlagsAsync(cancellationToken).ConfigureAwait(false);
        if (_repair != CheckRepair.None) await _file.FlushAsync(cancellationToken).ConfigureAwait(false);
        await RepairSnapshotsAsync(cancellationToken).ConfigureAwait(false);
        return _result;
    }

    private async ValueTask CountAllAsync(CancellationToken cancellationToken)
    {
        PlanWalk();
        Count(0, ClusterSize);
        await CountL1Async(_header.L1Table.Value, _header.L1Size, isActive: true, cancellationToken).ConfigureAwait(false);
        await CountSnapshotsAsync(cancellationToken).ConfigureAwait(false);
        await CountExtensionsAsync(cancellationToken).ConfigureAwait(false);
        await CountRefcountStructuresAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Counts a reference to every cluster a range touches; false where the range cannot be.</summary>
    private bool Count(long offset, long size)
    {
        if (size <= 0) return true;
        if (offset < 0 || offset > _fileLength || size - (_fileLength - offset) >= ClusterSize)
        {
            if (offset >= 0 && offset + size - _fileLength is > 0 and <= MaxGrowth) _overhang = Math.Max(_overhang, offset + size);
            Corruption($"ERROR: counting reference for region exceeding the end of the file by one cluster or more: offset 0x{offset:x} size 0x{size:x}");
            return false;
        }

        for (long cluster = offset >> _header.ClusterBits; cluster <= (offset + size - 1) >> _header.ClusterBits; cluster++)
        {
            _clusterCount = Math.Max(_clusterCount, cluster + 1);      // the end of what is referenced may lie behind the file's
            if (_references.TryAdd(cluster)) continue;
            Corruption($"ERROR: overflow cluster offset=0x{cluster << _header.ClusterBits:x}");
            Say("Use qemu-img amend to increase the refcount entry width or qemu-img convert to create a clean copy if the image cannot be opened for writing");
        }

        return true;
    }

    private async ValueTask CountRefcountStructuresAsync(CancellationToken cancellationToken)
    {
        Count(_header.RefcountTable.Value, (long)_header.RefcountTableClusters * ClusterSize);
        for (int i = 0; i < _refcounts.Table.Count; i++)
        {
            if (!_refcounts.Table[i].IsAllocated) continue;
            long block = _refcounts.Table[i].Block.Value;
            if (!Align.Is(block, ClusterSize))
            {
                Corruption($"ERROR refcount block {i} is not cluster aligned; refcount table entry corrupted");
                _mustRebuild = true;
                continue;
            }

            if (block < 0 || block >> _header.ClusterBits >= _clusterCount)
            {
                await HandleBlockOutsideAsync(i, block, cancellationToken).ConfigureAwait(false);
                continue;
            }

            Count(block, ClusterSize);
            ulong references = _references[block >> _header.ClusterBits];
            if (references == 1) continue;
            Corruption($"ERROR refcount block {i} refcount={references}");
            _mustRebuild = true;
        }
    }

    /// <summary>A refcount block past the end of the file: grow the file over it, where that is possible, or rebuild.</summary>
    private async ValueTask HandleBlockOutsideAsync(int index, long block, CancellationToken cancellationToken)
    {
        if (!RepairsErrors)
        {
            Corruption($"ERROR refcount block {index} is outside image");
            return;
        }

        Say($"Repairing refcount block {index} is outside image");
        if (!_isRecount) _result.CorruptionsFixed++;
        try
        {
            if (block < 0 || block > long.MaxValue - ClusterSize) throw BlockException.FromErrno(Errno.EINVAL);
            if (block - _fileLength > MaxGrowth) throw BlockException.FromErrno(Errno.EFBIG);
            await _file.ResizeAsync(block + ClusterSize, PreallocationMode.Off, cancellationToken).ConfigureAwait(false);
            _fileLength = _file.Length;
            _clusterCount = Math.Max(_clusterCount, Align.Count(_fileLength, ClusterSize));
            Count(block, ClusterSize);
        }
        catch (BlockException e)
        {
            Say($"ERROR could not resize image: {e.Message}");
        }

        _mustRebuild = true;
    }

    private void Corruption(string message)
    {
        _result.Corruptions++;
        Say(message);
    }

    private void Say(string message) => _messages?.Report(message);

    private static string Hex(ulong value) => value.ToString("x", CultureInfo.InvariantCulture);
}
