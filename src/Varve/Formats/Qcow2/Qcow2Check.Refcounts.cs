using System.Buffers.Binary;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;

namespace Varve.Formats.Qcow2;

/// <content>Comparing refcounts with references, correcting them, building them anew; and the flags that depend on them.</content>
internal sealed partial class Qcow2Check
{
    /// <summary>Differences remembered one by one; where there are more, refcounts are read from the disk again.</summary>
    private const int MaxDifferences = 1 << 20;

    /// <summary>Clusters whose refcount on disk is not the number of references, or cannot be read. For all others the count in memory is
    /// the refcount, so that nothing is read a second time in an order that no cache of blocks can follow.</summary>
    private readonly HashSet<long> _differences = [];

    private async ValueTask CompareAndRepairAsync(CancellationToken cancellationToken)
    {
        (long corruptions, long leaks) = (_result.Corruptions, _result.Leaks);
        await CompareAsync(CheckRepair.None, isCounted: true, cancellationToken).ConfigureAwait(false);
        if (_repair == CheckRepair.None) return;
        if (_mustRebuild)
        {
            await RebuildAsync(cancellationToken).ConfigureAwait(false);
        }
        else if (_result.Corruptions > corruptions || _result.Leaks > leaks)
        {
            (_result.Corruptions, _result.Leaks) = (corruptions, leaks);
            await CompareAsync(_repair, isCounted: true, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Compares every cluster that has a refcount or a reference, and corrects what <paramref name="repair"/> allows.</summary>
    private async ValueTask CompareAsync(CheckRepair repair, bool isCounted, CancellationToken cancellationToken)
    {
        long highest = 0;
        _differences.Clear();
        foreach ((long first, long end) in ClustersToCompare())
        {
            for (long cluster = first; cluster < Math.Min(end, _clusterCount); cluster++)
            {
                ulong references = _references[cluster], refcount;
                try
                {
                    refcount = await _refcounts.GetAsync(cluster, cancellationToken).ConfigureAwait(false);
                }
                catch (BlockException e)
                {
                    if (e.InnerException is InvalidDataException why) await _image.ReportCorruptionAsync(isFatal: false, why.Message).ConfigureAwait(false);
                    Say($"Can't get refcount for cluster {cluster}: {e.Message}");
                    if (isCounted) _result.CheckErrors++;
                    NoteDifference(cluster);
                    continue;
                }

                if (refcount > 0 || references > 0) highest = cluster;
                if (refcount == references) continue;
                if (refcount == 0 && references > 0) _mustRebuild = true;
                bool isLeak = refcount > references;
                bool repairs = (repair & (isLeak ? CheckRepair.Leaks : CheckRepair.Errors)) != 0;
                Say($"{(repairs ? "Repairing" : isLeak ? "Leaked" : "ERROR")} cluster {cluster} refcount={refcount} reference={references}");
                if (repairs) await _refcounts.SetAsync(cluster, references, cancellationToken).ConfigureAwait(false);
                else NoteDifference(cluster);
                if (isCounted) CountDifference(isLeak, repairs);
            }
        }

        _result.ImageEndOffset = (highest + 1) << _header.ClusterBits;
    }

    private void NoteDifference(long cluster)
    {
        if (_differences.Count < MaxDifferences) _differences.Add(cluster);
    }

    private void CountDifference(bool isLeak, bool isRepaired)
    {
        if (isLeak && isRepaired) _result.LeaksFixed++;
        else if (isLeak) _result.Leaks++;
        else if (isRepaired) _result.CorruptionsFixed++;
        else _result.Corruptions++;
    }

    /// <summary>Ranges where anything can differ: counted clusters, and clusters that a refcount block speaks of; ascending, merged.</summary>
    private IEnumerable<(long First, long End)> ClustersToCompare()
    {
        int blockBits = _refcounts.BlockBits;
        IEnumerable<(long First, long End)> blocks = Enumerable.Range(0, _refcounts.Table.Count)
            .Where(i => _refcounts.Table[i].IsAllocated).Select(i => ((long)i << blockBits, (i + 1L) << blockBits));
        long done = 0;
        foreach ((long first, long end) in _references.Ranges().Concat(blocks).OrderBy(r => r.First))
        {
            if (end <= done) continue;
            yield return (Math.Max(first, done), end);
            done = end;
        }
    }

    // ---- Rebuilding

    private async ValueTask RebuildAsync(CancellationToken cancellationToken)
    {
        if (!RepairsErrors)
        {
            Say("ERROR need to rebuild refcount structures");
            throw BlockException.FromErrno(Errno.EIO);
        }

        Say("Rebuilding refcount structure");
        RebuiltRefcounts rebuilt = PlanRebuild();
        await WriteRebuiltAsync(rebuilt, cancellationToken).ConfigureAwait(false);
        await _image.UpdateHeaderAsync(
            h => h with { RefcountTable = rebuilt.Table, RefcountTableClusters = rebuilt.TableClusters }, cancellationToken).ConfigureAwait(false);

        // What was found before is repaired now; what no refcount can repair is found again by counting anew, in silence.
        (long corruptions, long leaks) = (_result.Corruptions, _result.Leaks);
        (_result.Corruptions, _result.Leaks, _result.CheckErrors) = (0, 0, 0);
        _header = _image.Header;
        _fileLength = _file.Length;
        _clusterCount = Align.Count(_fileLength, ClusterSize);
        _references = new ReferenceCounts(_header.RefcountOrder);
        _isRecount = true;
        _refcounts = await RefcountFile.ReadAsync(_file, _header, cancellationToken).ConfigureAwait(false);
        await CountAllAsync(cancellationToken).ConfigureAwait(false);
        _result.CorruptionsFixed += Math.Max(corruptions - _result.Corruptions, 0);
        _result.LeaksFixed += leaks;
        if (_result.CheckErrors > 0) _repair = CheckRepair.None;
        await CompareAsync(_repair, isCounted: false, cancellationToken).ConfigureAwait(false);
    }

    private sealed record RebuiltRefcounts(SortedDictionary<long, long> Blocks, HostOffset Table, int TableClusters, long End);

    /// <summary>Places new blocks and a new table behind the end of the file: the old ones stay until the header changes over.</summary>
    private RebuiltRefcounts PlanRebuild()
    {
        int blockBits = _refcounts.BlockBits;
        long start = Math.Max(_clusterCount, Align.Count(_overhang, ClusterSize));     // nowhere that an entry, however wrong, points at
        var needed = new SortedSet<long>();
        foreach ((long first, long end) in _references.Ranges())
        {
            for (long cluster = first; cluster < end; cluster++)
            {
                if (_references[cluster] > 0) needed.Add(cluster >> blockBits);
            }
        }

        while (true)
        {
            int tableClusters = (int)Align.Count((needed.Max + 1) * 8, ClusterSize);
            if ((long)tableClusters * ClusterSize > Qcow2Header.MaxRefcountTableBytes) throw BlockException.FromErrno(Errno.EFBIG);
            long end = start + needed.Count + tableClusters;
            int before = needed.Count;
            for (long block = start >> blockBits; block <= (end - 1) >> blockBits; block++) needed.Add(block);
            if (needed.Count > before) continue;

            var blocks = new SortedDictionary<long, long>();
            foreach (long index in needed) blocks[index] = start + blocks.Count;
            for (long cluster = start; cluster < end; cluster++) _references.Set(cluster, 1);
            return new RebuiltRefcounts(blocks, new((start + needed.Count) << _header.ClusterBits), tableClusters, end);
        }
    }

    private async ValueTask WriteRebuiltAsync(RebuiltRefcounts rebuilt, CancellationToken cancellationToken)
    {
        byte[] block = new byte[ClusterSize], table = new byte[rebuilt.TableClusters * (long)ClusterSize];
        foreach ((long index, long cluster) in rebuilt.Blocks)
        {
            FillBlock(block, index << _refcounts.BlockBits);
            BinaryPrimitives.WriteInt64BigEndian(table.AsSpan((int)(index * 8)), cluster << _header.ClusterBits);
            await _file.WriteAsync(cluster << _header.ClusterBits, block, WriteFlags.None, cancellationToken).ConfigureAwait(false);
        }

        await _file.WriteAsync(rebuilt.Table.Value, table, WriteFlags.None, cancellationToken).ConfigureAwait(false);
        await _file.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    private void FillBlock(byte[] block, long firstCluster)
    {
        block.AsSpan().Clear();
        var counts = new RefcountBlock(block, _header.RefcountOrder);
        for (int i = 0; i < counts.Count; i++)
        {
            ulong references = _references[firstCluster + i];
            if (references > 0) counts[i] = references;
        }
    }

    // ---- The copied flag

    /// <summary>Checks that the active tables' copied flags say what the refcounts say: exactly one.</summary>
    private async ValueTask CheckCopiedFlagsAsync(CancellationToken cancellationToken)
    {
        // Harmless to correct whenever all refcounts are right, so that a repair of leaks does it too then.
        bool repairs = RepairsErrors || (_repair == CheckRepair.Leaks && _result is { CheckErrors: 0, Corruptions: 0, Leaks: 0 });
        long left = _header.L1Size;
        await foreach ((long index, ulong raw) in ReadTableAsync(_header.L1Table.Value, _header.L1Size, cancellationToken).ConfigureAwait(false))
        {
            Advance(1);
            left--;
            var entry = new L1Entry(raw);
            if (!entry.IsAllocated) continue;
            if (await TryGetRefcountAsync(entry.Table.Value, cancellationToken).ConfigureAwait(false) is not { } refcount) continue;
            if (entry.IsCopied != (refcount == 1))
            {
                string what = $"OFLAG_COPIED L2 cluster: l1_index={index} l1_entry={Hex(raw)} refcount={refcount}";
                await CorrectFlagAsync(_header.L1Table.Value + index * 8, raw, what, MetadataKind.ActiveL1, repairs, cancellationToken).ConfigureAwait(false);
            }

            if (entry.Table.Value >= _fileLength) continue;
            await CheckCopiedFlagsOfL2Async(entry.Table.Value, repairs, cancellationToken).ConfigureAwait(false);
        }

        Advance(left);
    }

    private async ValueTask CheckCopiedFlagsOfL2Async(long table, bool repairs, CancellationToken cancellationToken)
    {
        await foreach ((long at, ulong raw, _) in ReadL2Async(table, cancellationToken).ConfigureAwait(false))
        {
            L2Entry entry = _header.HasDataFile ? new(raw) : new L2Entry(raw).WithoutStrayCopied();
            if (entry.Kind is not (ClusterKind.Data or ClusterKind.ZeroAllocated)) continue;
            // Clusters of a data file count as referenced once.
            ulong? counted = _header.HasDataFile ? 1 : await TryGetRefcountAsync(entry.Host.Value, cancellationToken).ConfigureAwait(false);
            if (counted is not { } refcount || entry.IsCopied == (refcount == 1)) continue;
            string what = $"OFLAG_COPIED data cluster: l2_entry={Hex(raw)} refcount={refcount}";
            await CorrectFlagAsync(at, raw, what, MetadataKind.ActiveL2, repairs, cancellationToken).ConfigureAwait(false);
        }
    }

    private async ValueTask CorrectFlagAsync(
        long offset, ulong raw, string what, MetadataKind table, bool repairs, CancellationToken cancellationToken)
    {
        if (!repairs)
        {
            Corruption("ERROR " + what);
            return;
        }

        Say("Repairing " + what);
        await WriteEntryAsync(offset, raw ^ L2Entry.CopiedFlag, table, cancellationToken).ConfigureAwait(false);
        _result.CorruptionsFixed++;
    }

    /// <summary>Null where the refcount cannot be read: the comparison has said so.</summary>
    private async ValueTask<ulong?> TryGetRefcountAsync(long host, CancellationToken cancellationToken)
    {
        long cluster = host >> _header.ClusterBits;
        if (cluster < _clusterCount && _differences.Count < MaxDifferences && !_differences.Contains(cluster)) return _references[cluster];
        try
        {
            return await _refcounts.GetAsync(cluster, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException)
        {
            return null;
        }
    }
}
