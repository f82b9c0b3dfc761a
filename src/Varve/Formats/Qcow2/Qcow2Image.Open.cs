using System.Text;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

/// <content>Opening: header, features, tables, backing image.</content>
internal sealed partial class Qcow2Image
{
    private const string DataFileChild = "data-file";

    /// <summary>Opens the children and reads the metadata. What it throws undoes the opening.</summary>
    internal async ValueTask OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        _file = await opening.OpenRequiredChildAsync(this, "file", ChildRole.Image, cancellationToken).ConfigureAwait(false);
        await ReadHeaderAsync(opening.Context, cancellationToken).ConfigureAwait(false);
        await OpenDataFileAsync(opening, cancellationToken).ConfigureAwait(false);
        _options = Qcow2RuntimeOptions.Take(opening, _header);
        await OpenEncryptionAsync(opening, cancellationToken).ConfigureAwait(false);
        Reclaim = new Reclaim(ClusterSize);
        _compressed = new CompressedClusters(_file, _header.ClusterBits, _header.CompressionType);
        _compressor = new ClusterCompressor(_header.CompressionType);
        await ReadSnapshotsAsync(opening.Context.ForCheck, cancellationToken).ConfigureAwait(false);
        await ReadTablesAsync(cancellationToken).ConfigureAwait(false);
        await opening.OpenBackingAsync(this, RecordedBackingFile, RecordedBackingFormat, cancellationToken).ConfigureAwait(false);
        if (!opening.Context.ForCheck && !(IsReadOnly && opening.Context.NoIO)) await LoadBitmapsAsync(cancellationToken).ConfigureAwait(false);
        if (!IsReadOnly && !opening.Context.ForCheck) await PrepareForWritingAsync(cancellationToken).ConfigureAwait(false);
        StartCleaning();
    }

    /// <summary>Has unused slices dropped as often as the options say.</summary>
    private void StartCleaning()
    {
        var longest = TimeSpan.FromMilliseconds(uint.MaxValue - 1);       // a timer's; seven weeks
        TimeSpan interval = _options.CacheCleanInterval > TimeSpan.Zero ? _options.CacheCleanInterval : Timeout.InfiniteTimeSpan;
        if (interval > longest) interval = longest;
        _cleaning ??= Graph.Time.CreateTimer(
            static image => ((Qcow2Image)image!)._l2.Slices.DropUnused(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _cleaning.Change(interval, interval);
    }

    private async ValueTask ReadHeaderAsync(OpenContext context, CancellationToken cancellationToken)
    {
        bool forCheck = context.ForCheck;
        byte[] head = new byte[Qcow2Header.LengthWithCompressionType];
        await _file.Node.ReadAsync(0, head, cancellationToken).ConfigureAwait(false);
        Qcow2Header.TryRead(head, out _header)?.Throw(NodeName);
        HeaderCluster cluster = await ReadHeaderClusterAsync(cancellationToken).ConfigureAwait(false);
        RefuseUnknownFeatures(cluster);
        _header.CheckLimits(forCheck)?.Throw(NodeName);
        RefuseCorrupt(forCheck);
        if (_header.RefcountTableClusters == 0 && !forCheck)
        {
            throw new BlockException(BlockErrorKind.Invalid, "Image does not contain a reference count table") { NodeName = NodeName };
        }

        (RecordedBackingFile, RecordedBackingFormat) = (cluster.BackingFile, cluster.BackingFormat);
        ReadEncryptionPointer(cluster);
        RecordedDataFile = cluster.DataFile;
        await ReadBitmapDirectoryAsync(cluster, context.WarnOfImage, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Opens the file that holds the guest data, where it is not this one.</summary>
    private async ValueTask OpenDataFileAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        BlockChild? data = await opening.OpenNamedChildAsync(this, DataFileChild, ChildRole.Data, HasDataFile ? RecordedDataFile : null, cancellationToken)
            .ConfigureAwait(false);
        if (!HasDataFile)
        {
            if (data is not null) throw Refusal(BlockErrorKind.Invalid, "'data-file' can only be set for images with an external data file");
            _data = _file;
            return;
        }

        _data = data ?? throw Refusal(BlockErrorKind.Invalid, "'data-file' is required for this image");
        _file.Role &= ~ChildRole.Data;
    }

    /// <summary>Features nobody told us about: the image must not be read, not even a little.</summary>
    private void RefuseUnknownFeatures(HeaderCluster cluster)
    {
        ulong unknown = (ulong)(_header.Incompatible & ~Qcow2Incompatible.Known);
        if (unknown == 0) return;
        ReadOnlySpan<byte> table = cluster.Find(HeaderExtension.FeatureNameTable) is { } names ? names.Data.Span : default;
        var features = new List<string>();
        for (int bit = 0; bit < 64; bit++)
        {
            if ((unknown & (1UL << bit)) == 0 || FeatureNameTable.Find(table, bitmap: 0, bit) is not { } name) continue;
            features.Add(name);
            unknown &= ~(1UL << bit);
        }

        if (unknown != 0) features.Add($"Unknown incompatible feature: {unknown:x}");
        throw new BlockException(BlockErrorKind.Unsupported, $"Unsupported qcow2 feature(s): {string.Join(", ", features)}") { NodeName = NodeName };
    }

    private void RefuseCorrupt(bool forCheck)
    {
        if ((_header.Incompatible & Qcow2Incompatible.Corrupt) != 0 && !IsReadOnly && !forCheck)
        {
            throw new BlockException(BlockErrorKind.Denied, "qcow2: Image is corrupt; cannot be opened read/write")
            {
                NodeName = NodeName,
                Errno = Errno.EACCES,
            };
        }
    }

    /// <summary>Reads the L1 and refcount tables and makes empty caches: at opening, and after a repair has changed the tables.</summary>
    internal async ValueTask ReadTablesAsync(CancellationToken cancellationToken)
    {
        ResidentTable l1 = await ReadTableAsync(_header.L1Table, _header.L1Size, cancellationToken).ConfigureAwait(false);
        int refcountEntries = _header.RefcountTableClusters << (_header.ClusterBits - 3);
        await _file.Node.DebugEventAsync(BlkdebugEvent.ReftableLoad).ConfigureAwait(false);
        ResidentTable refcounts = await ReadTableAsync(_header.RefcountTable, refcountEntries, cancellationToken).ConfigureAwait(false);
        TableCache slices = NewCache(_options.L2EntrySize, _options.L2CacheSize, _l2Counters, WritebackScope.Evict);
        TableCache blocks = NewCache(ClusterSize, _options.RefcountCacheSize, _refcountCounters, WritebackScope.RefcountBlocks);
        var allocator = new ClusterAllocator(this, refcounts, blocks);
        await ReadInactiveTablesAsync(cancellationToken).ConfigureAwait(false);
        lock (TableLock)
        {
            _l2 = new L2Cache(_header, l1, slices, OnAllocationChanged);
            _allocator = allocator;
            MapAllMetadata();
            OnAllocationChanged();
        }
    }

    /// <summary>Reads the tables anew because the disk's are not the ones in memory any more. Where that fails nothing may be allocated by the
    /// old ones, which do not know what is in use: the image takes no requests until it is opened again.</summary>
    private async ValueTask ReadChangedTablesAsync()
    {
        try
        {
            await ReadTablesAsync(CancellationToken.None).ConfigureAwait(false);
        }
        catch
        {
            _isUnusable = true;
            throw;
        }
    }

    private TableCache NewCache(int sliceSize, long budget, CacheCounters counters, WritebackScope scope)
        => new(_file, TableLock, sliceSize, budget, counters, token => WritebackAsync(scope, token));

    private async ValueTask<ResidentTable> ReadTableAsync(HostOffset host, int count, CancellationToken cancellationToken)
    {
        using IOBuffer bytes = IOBuffer.Rent(Math.Max(count * 8, 8));
        if (count > 0) await _file.Node.ReadAsync(host.Value, bytes.Memory, cancellationToken).ConfigureAwait(false);
        return ResidentTable.FromDisk(host.Value, bytes.Span, count);
    }

    private void MapAllMetadata()
    {
        MetadataMap = new MetadataMap(_header.ClusterBits, _options.OverlapChecks);
        foreach (long table in _inactiveTables) MetadataMap.Add(table, ClusterSize, MetadataKind.InactiveL2);
        MetadataMap.Add(0, ClusterSize, MetadataKind.MainHeader);
        MetadataMap.Add(_header.L1Table.Value, _header.L1Size * 8L, MetadataKind.ActiveL1);
        for (int i = 0; i < _l2.L1.Count; i++)
        {
            var entry = new L1Entry(_l2.L1[i]);
            if (entry.IsAllocated) MetadataMap.Add(entry.Table.Value, ClusterSize, MetadataKind.ActiveL2);
        }

        _allocator.MapMetadata(MetadataMap);
        MapSnapshots();
        MapBitmaps();
    }
}
