using Varve.Graph;

namespace Varve.Filters.CopyBeforeWrite;

/// <summary>Shows the snapshot that the filter below it keeps: read, asked for its status, and given up by discards.</summary>
internal sealed class SnapshotAccessNode(NodeOpening opening) : BlockNode(opening)
{
    private BlockNode? _below;
    private long _length;

    public override long Length => _length;

    // Any node may be below, as in the reference; only this filter has a snapshot to show.
    private CopyBeforeWriteNode Snapshot
        => _below as CopyBeforeWriteNode
           ?? throw new BlockException(BlockErrorKind.Unsupported, Errno.Text(Errno.EOPNOTSUPP)) { NodeName = NodeName, Errno = Errno.EOPNOTSUPP };

    public override void OnChildrenChanged() => _below = FindChild("file")?.Node;

    protected internal override string? GetExactFilename(bool hasStrongOptions) => _below?.ExactFilename;

    /// <summary>What the guest does meanwhile is the filter's affair: nothing is asked, nothing forbidden.</summary>
    public override (BlockPermissions Needed, BlockPermissions Shared) GetChildPermissions(
        string name, ChildRole role, BlockPermissions needed, BlockPermissions shared, bool readOnly)
        => (BlockPermissions.None, BlockPermissions.All);

    internal void SetLength() => _length = (_below as CopyBeforeWriteNode)?.SnapshotLength ?? _below?.Length ?? 0;

    protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => Snapshot.ReadSnapshotAsync(offset, buffer, cancellationToken);

    protected override ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, bool precise, CancellationToken cancellationToken)
        => Snapshot.GetSnapshotStatusAsync(offset, length, precise, cancellationToken);

    protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => Snapshot.DiscardSnapshotAsync(offset, length, cancellationToken);

    protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
        => throw new BlockException(BlockErrorKind.Unsupported, Errno.Text(Errno.EOPNOTSUPP)) { NodeName = NodeName, Errno = Errno.EOPNOTSUPP };
}
