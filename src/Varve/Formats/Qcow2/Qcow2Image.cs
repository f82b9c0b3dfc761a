using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

// Locks of an image, in the order they are taken
//   1. ClusterAllocator.Mutex (held across I/O): allocation, unlinking, tables that move. Guest data is written without it.
//   2. _writebackLock (held across I/O): one write-back at a time, so that copies of a table reach the disk in order.
//   3. _headerLock (held across I/O): one change of the header at a time.
//   4. TableLock (never held across I/O): every byte of cached tables, the L1 and refcount tables, Reclaim, MetadataMap and the list
//      of allocations in flight. A lookup takes it for some tens of nanoseconds.

/// <summary>An opened qcow2 image.</summary>
/// <remarks>Which file holds what: README.md of this folder.</remarks>
internal sealed partial class Qcow2Image : BlockNode
{
    private Qcow2Header _header;
    private Qcow2RuntimeOptions _options = null!;
    private BlockChild _file = null!;
    private BlockChild _data = null!;      // holds guest data: the data file, or else _file
    private L2Cache _l2 = null!;
    private ClusterAllocator _allocator = null!;
    private CompressedClusters _compressed = null!;
    private ClusterCompressor _compressor = null!;
    private ITimer? _cleaning;
    private readonly CacheCounters _l2Counters = new(), _refcountCounters = new();

    private readonly ChainIndex _below;

    public Qcow2Image(NodeOpening opening) : base(opening) => _below = new ChainIndex(this);

    /// <summary>The fixed part of the header, as memory knows it.</summary>
    internal Qcow2Header Header => _header;

    /// <summary>The edge to the file that holds tables and data.</summary>
    internal BlockChild File => _file;

    /// <summary>Guest data lies in another file, each cluster where the guest sees it.</summary>
    internal bool HasDataFile => _header.HasDataFile;

    internal bool IsDataFileRaw => _header.IsDataFileRaw;

    /// <summary>The name of the data file as the header records it; null when it records none.</summary>
    internal string? RecordedDataFile { get; private set; }

    /// <summary>See the list of locks above.</summary>
    internal Lock TableLock { get; } = new();

    internal ClusterAllocator Allocator => _allocator;

    internal Reclaim Reclaim { get; private set; } = null!;

    internal MetadataMap MetadataMap { get; private set; } = null!;

    public override long Length => _header.VirtualSize;

    public override int ClusterSize => _header.ClusterSize;

    /// <remarks>What is encrypted or goes into larger clusters is better seen as a whole.</remarks>
    protected override bool TakesPiecesCore(int length) => ClusterSize <= length && !IsEncrypted && _data.Node.TakesPieces(length);

    /// <summary>Bytes of a subcluster; of a cluster, in images without them.</summary>
    public override int SubclusterSize => _header.SubclusterSize;

    public override bool? IsDirty => (_header.Incompatible & Qcow2Incompatible.Dirty) != 0;

    public override bool IsEncrypted => _header.CryptMethod != 0;

    /// <summary>A cluster is free now: nothing cached about it as metadata is true any more. Needs the table lock.</summary>
    internal void ForgetCluster(long host)
    {
        _l2.Slices.Forget(host, ClusterSize);
        MetadataMap.Remove(host, ClusterSize);
    }

    /// <summary>Tells the host that freed clusters hold nothing, where the options say so. A hint: that it fails harms nothing.</summary>
    internal ValueTask PassDiscardAsync(long host, long length, DiscardReason reason, CancellationToken cancellationToken)
        => PassDiscardAsync(_file.Node, host, length, reason, cancellationToken);

    private async ValueTask PassDiscardAsync(BlockNode node, long host, long length, DiscardReason reason, CancellationToken cancellationToken)
    {
        if (!_options.PassesDiscard(reason)) return;
        try
        {
            await node.DiscardAsync(host, length, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException)
        {
            // The clusters are free either way; the host merely keeps their space.
        }
    }

    public override async ValueTask CloseAsync()
    {
        if (_cleaning is not null) await _cleaning.DisposeAsync().ConfigureAwait(false);
        try
        {
            if (_l2 is not null && !IsReadOnly && !_isUnusable) await EndWritingAsync().ConfigureAwait(false);
        }
        finally
        {
            _cipher?.Dispose();
        }
    }
}
