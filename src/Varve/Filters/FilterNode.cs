using Varve.Graph;

namespace Varve.Filters;

/// <summary>A node that shows its one child's data as its own and passes every request on; filters override what they change.</summary>
internal abstract class FilterNode(NodeOpening opening) : BlockNode(opening)
{
    private BlockChild? _child;

    /// <summary>The edge to the filtered node.</summary>
    public BlockChild Child => _child!;

    /// <summary>The filtered node.</summary>
    protected BlockNode Below => _child!.Node;

    // While the node is opened or closed it has no child.
    public override long Length => _child?.Node.Length ?? 0;

    public override int ClusterSize => _child?.Node.ClusterSize ?? 0;

    public override int SubclusterSize => _child?.Node.SubclusterSize ?? 0;

    public override bool ReadsZeroWhenNew => _child?.Node.ReadsZeroWhenNew ?? false;

    public override long VmStateOffset => _child?.Node.VmStateOffset ?? 0;

    protected override WriteFlags SupportedWriteFlags => WriteFlags.Fua | WriteFlags.Unchanged | WriteFlags.Compressed;

    protected override ZeroFlags SupportedZeroFlags => ZeroFlags.MayUnmap | ZeroFlags.NoFallback | ZeroFlags.Fua | ZeroFlags.Unchanged;

    public override void OnChildrenChanged() => _child = Children.FirstOrDefault(c => (c.Role & ChildRole.Filtered) != 0);

    protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => Below.ReadAsync(offset, buffer, cancellationToken);

    protected override ValueTask WriteCoreAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
        => Below.WriteAsync(offset, buffer, flags, cancellationToken);

    protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => Below.WriteZeroesAsync(offset, length, flags, cancellationToken);

    protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => Below.DiscardAsync(offset, length, cancellationToken);

    protected override async ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        await Below.DebugEventAsync(BlkdebugEvent.FlushToOs).ConfigureAwait(false);
        await Below.DebugEventAsync(BlkdebugEvent.FlushToDisk).ConfigureAwait(false);
        await Below.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    protected override ValueTask<BlockStatus> GetStatusCoreAsync(
        long offset, long length, bool precise, CancellationToken cancellationToken)
        => Below.GetStatusAsync(offset, length, precise, cancellationToken);

    protected override ValueTask ResizeCoreAsync(long length, PreallocationMode preallocation, CancellationToken cancellationToken)
        => Below.ResizeAsync(length, preallocation, cancellationToken);
}
