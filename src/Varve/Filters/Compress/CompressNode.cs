using Varve.Graph;

namespace Varve.Filters.Compress;

/// <summary>Adds the wish for compression to every write. Only whole clusters are compressed, so parts of one are read around first.</summary>
internal sealed class CompressNode(NodeOpening opening) : FilterNode(opening)
{
    private int _alignment = 1;

    public override int RequestAlignment => _alignment;

    /// <summary>Requests become whole clusters, once the child is there.</summary>
    internal void AlignToClusters()
    {
        _alignment = Math.Max(1, ClusterSize);
        TrackBecauseOfAlignment();
    }

    protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => Below.ReadAsync(offset, buffer, cancellationToken);

    protected override ValueTask WriteCoreAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        int length = (int)Math.Min(buffer.Length, Length - offset);   // the last cluster may be cut short by the end of the disk
        return Below.WriteAsync(offset, buffer[..length], flags | WriteFlags.Compressed, cancellationToken);
    }
}
