using Varve.IO;

namespace Varve.Graph;

internal abstract partial class BlockNode
{
    /// <summary>Bytes that are copied up at a time, or one cluster: a guest's write to the place waits for no more, and they fit a processor's cache.</summary>
    private const int CopyUpPiece = 256 << 10;

    /// <summary>Stores in this node what a range of it shows but it does not hold itself, rounded to clusters.</summary>
    /// <remarks>
    /// Alone on its clusters among the node's writes, which are tracked meanwhile (<see cref="StartTracking"/>): a write that came
    /// before has allocated its clusters, which are skipped; one that comes after waits.
    /// </remarks>
    internal async ValueTask CopyUpAsync(long offset, long length, CancellationToken cancellationToken)
    {
        long unit = Math.Max(Math.Max(SubclusterSize, RequestAlignment), Align.SectorSize);
        long end = Math.Min(Align.Up(offset + length, unit), Length);
        long piece = Math.Max(CopyUpPiece, unit);
        for (long start = Align.Down(offset, unit); start < end; start += piece)
        {
            long pieceLength = Math.Min(piece, end - start);
            RequestTracker tracker = _tracker ?? throw new InvalidOperationException("Copying up needs tracked writes.");
            TrackedRequest alone = await tracker.EnterAsync(start, pieceLength, serialising: true).ConfigureAwait(false);
            try
            {
                await CopyUnallocatedAsync(start, pieceLength, cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                tracker.Exit(alone);
            }
        }
    }

    private async ValueTask CopyUnallocatedAsync(long offset, long length, CancellationToken cancellationToken)
    {
        for (long end = offset + length; offset < end;)
        {
            BlockRun run = await ChainStatus.IsAllocatedAsync(this, offset, end - offset, cancellationToken).ConfigureAwait(false);
            if (run.Length == 0) return;
            if (!run.IsAllocated)
            {
                BlockRun below = await ChainStatus.AboveAsync(
                    BackingNode, null, offset, run.Length, precise: false, cancellationToken).ConfigureAwait(false);
                run = run with { Length = below.Length };
                bool isDone = below.IsZero && await TryWriteZeroesAloneAsync(offset, run.Length, cancellationToken).ConfigureAwait(false);
                if (!isDone) await CopyAloneAsync(offset, (int)run.Length, cancellationToken).ConfigureAwait(false);
            }

            offset += run.Length;
        }
    }

    private BlockNode? BackingNode => SkipFilters().BackingChild?.Node;

    private async ValueTask CopyAloneAsync(long offset, int length, CancellationToken cancellationToken)
    {
        using IOBuffer data = IOBuffer.Rent(length);
        await ReadAsync(offset, data.Memory, cancellationToken).ConfigureAwait(false);

        // On anything but zeros the scan ends at the first byte that differs, so it costs nothing where it saves nothing.
        if (ZeroScan.IsZero(data.Span) && await TryWriteZeroesAloneAsync(offset, length, cancellationToken).ConfigureAwait(false)) return;

        await DebugEventAsync(BlkdebugEvent.CorWrite).ConfigureAwait(false);
        long end = offset + length;
        WriteFlags flags = WriteFlags.Unchanged & SupportedWriteFlags;
        if (Align.Is(offset, RequestAlignment) && Align.Is(end, RequestAlignment))
        {
            await WriteCoreAsync(offset, data.Memory, flags, cancellationToken).ConfigureAwait(false);
        }
        else
        {
            await ReadModifyWriteAsync(
                offset, data.Memory, Align.Down(offset, RequestAlignment), Align.Up(end, RequestAlignment), flags, cancellationToken)
                .ConfigureAwait(false);
        }
    }

    private async ValueTask<bool> TryWriteZeroesAloneAsync(long offset, long length, CancellationToken cancellationToken)
    {
        if (!Align.Is(offset, RequestAlignment) || !Align.Is(length, RequestAlignment)) return false;
        try
        {
            await DebugEventAsync(BlkdebugEvent.CorWrite).ConfigureAwait(false);
            ZeroFlags flags = (ZeroFlags.Unchanged | ZeroFlags.NoFallback) & SupportedZeroFlags;
            await WriteZeroesCoreAsync(offset, length, flags, cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (BlockException e) when (e.Kind == BlockErrorKind.Unsupported)
        {
            return false;
        }
    }
}
