using Varve.Graph;

namespace Varve.Protocols.Null;

/// <summary>A device that forgets what is written to it.</summary>
internal sealed class NullNode(NodeOpening opening, long size, TimeSpan latency, bool readZeroes) : BlockNode(opening)
{
    public override long Length { get; } = Align.Up(size, Align.SectorSize);

    protected internal override string? GetExactFilename(bool hasStrongOptions) => hasStrongOptions ? null : $"{Driver.Name}://";

    // Differs from QEMU: without read-zeroes it leaves the buffer as it is. Ours come from a pool, and what another client's
    // request left there is not this one's to see.
    protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        buffer.Span.Clear();
        return WaitAsync(cancellationToken);
    }

    protected override ValueTask WriteCoreAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken) => WaitAsync(cancellationToken);

    protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => WaitAsync(cancellationToken);

    protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken) => WaitAsync(cancellationToken);

    protected override ValueTask<BlockStatus> GetStatusCoreAsync(
        long offset, long length, bool precise, CancellationToken cancellationToken)
        => new(new BlockStatus(
            BlockStatusFlags.OffsetValid | (readZeroes ? BlockStatusFlags.Zero | BlockStatusFlags.Allocated : BlockStatusFlags.None),
            length, offset, this));

    public override ValueTask<long?> GetAllocatedSizeAsync(CancellationToken cancellationToken) => new(0);

    private ValueTask WaitAsync(CancellationToken cancellationToken)
        => latency == TimeSpan.Zero ? default : new(Task.Delay(latency, Graph.Time, cancellationToken));
}
