using Varve.Cli.CommandLine;
using Varve.Cli.Output;
using Varve.Graph;
using Varve.IO;

namespace Varve.Cli.Img;

// What keeps the image's content
//   1. Where the image holds nothing itself and the old and the new chain below show different data, the old data is written into it.
//      A chain shows zeros behind its end, so images of any lengths are compared as if they had the image's own.
//   2. Several pieces are read side by side; they are compared and written one after the other, as if there were one at a time. What a
//      write changes below a piece that was read already, inside of a cluster, is what that piece holds too.
//   3. Until the header changes, what was written equals what already showed through: an interrupted rebase has changed nothing.

/// <summary>Copies into an image what it will no longer see through its backing image.</summary>
internal sealed class RebaseCopy(BlockBackend image, BlockBackend? newBase, ProgressMeter progress)
{
    /// <summary>Pieces in flight, and bytes of one unless a cluster is larger: of each chain as much is held at once.</summary>
    private const int MaxPieces = 4, MaxData = 512 << 10;

    private BlockNode? _lastAboveNewBase;   // where the new base is one of the images below already
    private bool _isNewBaseBelow;
    private int _unit;

    /// <summary>Store what is copied compressed.</summary>
    public bool Compress { get; init; }

    /// <summary>Where the old chain ends: zeros behind it cost nothing to keep, those before it are copied as the data they may be.</summary>
    private long OldLength => OldBase?.Length ?? 0;

    private BlockNode? OldBase => image.Node.SkipFilters().BackingChild?.Node;

    /// <summary>Copies everything. Not durable yet.</summary>
    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        _unit = Math.Max(image.Node.ClusterSize, Align.SectorSize);
        FindNewBaseBelow();
        var window = new Queue<ReadPiece>();
        try
        {
            for (long offset = 0; offset < image.Length || window.Count > 0;)
            {
                if (window.Count < PiecesInFlight && offset < image.Length)
                {
                    Piece piece = await NextAsync(offset, cancellationToken).ConfigureAwait(false);
                    window.Enqueue(new ReadPiece(piece, piece.MayDiffer ? ReadAsync(piece, cancellationToken) : null));
                    offset += piece.Length;
                    continue;
                }

                await RetireAsync(window.Dequeue(), cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            foreach (ReadPiece piece in window) await GiveBackAsync(piece).ConfigureAwait(false);
        }
    }

    /// <summary>A compressed cluster replaces nothing: what is written must be known when a piece is looked at.</summary>
    private int PiecesInFlight => Compress ? 1 : MaxPieces;

    private async ValueTask RetireAsync(ReadPiece piece, CancellationToken cancellationToken)
    {
        if (piece.Contents is { } reading)
        {
            using Contents contents = await reading.ConfigureAwait(false);
            await WriteDifferencesAsync(piece.Piece.Offset, contents.Wanted.Memory, contents.Shown.Memory, cancellationToken).ConfigureAwait(false);
        }

        progress.Advance(piece.Piece.Length);
    }

    private static async ValueTask GiveBackAsync(ReadPiece piece)
    {
        if (piece.Contents is not { } reading) return;
        await ((Task)reading).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (reading.IsCompletedSuccessfully) (await reading.ConfigureAwait(false)).Dispose();
    }

    /// <summary>A rebase to an image deeper in the chain need only look at the images in between.</summary>
    private void FindNewBaseBelow()
    {
        if (newBase is null || BackingChain.FindImage(image.Node, newBase.Node.Filename) is not { } below) return;
        _isNewBaseBelow = true;
        for (BlockNode? layer = OldBase?.SkipFilters(); layer is not null && !ReferenceEquals(layer, below); layer = BackingChain.Next(layer))
        {
            _lastAboveNewBase = layer;
        }
    }

    // ---- Deciding

    private readonly record struct Piece(long Offset, long Length, bool MayDiffer, bool IsOldZero, bool IsNewZero);

    /// <summary>A piece, and its reading where it has to be looked at.</summary>
    private readonly record struct ReadPiece(Piece Piece, Task<Contents>? Contents);

    /// <summary>What a piece showed before, and what it would show.</summary>
    private sealed record Contents(IOBuffer Wanted, IOBuffer Shown) : IDisposable
    {
        public void Dispose()
        {
            Wanted.Dispose();
            Shown.Dispose();
        }
    }

    private async ValueTask<Piece> NextAsync(long offset, CancellationToken cancellationToken)
    {
        try
        {
            return await image.RunAsync((_, at, ct) => QueryAsync(at, ct), offset, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            throw new ToolException($"error while reading image metadata: {Errno.Text(e.Errno)}");
        }
    }

    private async ValueTask<Piece> QueryAsync(long offset, CancellationToken cancellationToken)
    {
        long length = image.Length - offset;
        BlockRun own = await ChainStatus.IsAllocatedAsync(image.Node, offset, length, cancellationToken).ConfigureAwait(false);
        if (own.IsAllocated) return new Piece(offset, own.Length, MayDiffer: false, default, default);
        length = own.Length;
        if (_isNewBaseBelow)
        {
            BlockRun between = _lastAboveNewBase is null
                ? new BlockRun(length, 0, IsZero: false)
                : await ChainStatus.AboveAsync(OldBase, _lastAboveNewBase, offset, length, precise: false, cancellationToken).ConfigureAwait(false);
            if (!between.IsAllocated) return new Piece(offset, between.Length, MayDiffer: false, default, default);
            length = between.Length;
        }

        BlockRun old = await ChainStatus.AboveAsync(OldBase, bottom: null, offset, length, precise: true, cancellationToken).ConfigureAwait(false);
        BlockRun now = await ChainStatus.AboveAsync(newBase?.Node, bottom: null, offset, old.Length, precise: true, cancellationToken).ConfigureAwait(false);
        length = now.Length;
        bool isSame = old.IsZero && now.IsZero;
        if (Compress && (!isSame || offset + length < image.Length))
        {
            // Compressed data goes in whole clusters: a run that ends inside one is cut before it, or takes all of it where it is all inside.
            long before = Align.Down(offset + length, _unit) - offset, whole = Math.Min(Align.Up(offset + length, _unit), offset + own.Length) - offset;
            if (before > 0) length = before;
            else if (whole > length) return new Piece(offset, whole, MayDiffer: true, IsOldZero: false, IsNewZero: newBase is null);
        }

        if (isSame) return new Piece(offset, length, MayDiffer: false, default, default);
        if (offset < OldLength) length = Math.Min(length, OldLength - offset);
        return new Piece(offset, Math.Min(length, Math.Max(MaxData, _unit) - offset % _unit), MayDiffer: true, old.IsZero, now.IsZero);
    }

    // ---- Copying

    private async Task<Contents> ReadAsync(Piece piece, CancellationToken cancellationToken)
    {
        var contents = new Contents(IOBuffer.Rent((int)piece.Length), IOBuffer.Rent((int)piece.Length));
        try
        {
            if (piece.IsOldZero) contents.Wanted.Span.Clear();
            else await ReadAsync(image, OldBase!, "old backing file", piece.Offset, contents.Wanted.Memory, cancellationToken).ConfigureAwait(false);
            if (piece.IsNewZero) contents.Shown.Span.Clear();
            else await ReadAsync(newBase!, newBase!.Node, "new backing file", piece.Offset, contents.Shown.Memory, cancellationToken).ConfigureAwait(false);
            return contents;
        }
        catch
        {
            contents.Dispose();
            throw;
        }
    }

    private static async ValueTask ReadAsync(
        BlockBackend through, BlockNode from, string what, long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        try
        {
            await through.RunAsync(
                static async (_, read, ct) =>
                {
                    await read.From.ReadAsync(read.Offset, read.Buffer, ct).ConfigureAwait(false);
                    return true;
                },
                (From: from, Offset: offset, Buffer: buffer),
                cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException)
        {
            throw new ToolException($"error while reading from {what}");
        }
    }

    private async ValueTask WriteDifferencesAsync(long offset, ReadOnlyMemory<byte> wanted, ReadOnlyMemory<byte> shown, CancellationToken cancellationToken)
    {
        for (int start = 0; start < wanted.Length;)
        {
            int end = UnitEnd(offset, start, wanted.Length);
            bool differs = !wanted.Span[start..end].SequenceEqual(shown.Span[start..end]);
            while (end < wanted.Length && !(Compress && differs))   // compressed data goes cluster by cluster
            {
                int next = UnitEnd(offset, end, wanted.Length);
                if (wanted.Span[end..next].SequenceEqual(shown.Span[end..next]) == differs) break;
                end = next;
            }

            if (differs) await WriteAsync(offset + start, wanted[start..end], isZero: offset >= OldLength, cancellationToken).ConfigureAwait(false);
            start = end;
        }
    }

    private int UnitEnd(long offset, int start, int length)
        => (int)Math.Min(Align.Down(offset + start, _unit) + _unit - offset, length);

    private async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, bool isZero, CancellationToken cancellationToken)
    {
        try
        {
            if (isZero)
            {
                await image.WriteZeroesAsync(offset, data.Length, ZeroFlags.None, cancellationToken).ConfigureAwait(false);
                return;
            }

            bool isWhole = Align.Is(offset, _unit) && (data.Length == _unit || offset + data.Length == image.Length);
            await image.WriteAsync(offset, data, Compress && isWhole ? WriteFlags.Compressed : WriteFlags.None, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            throw new ToolException($"Error while writing to COW image: {Errno.Text(e.Errno)}");
        }
    }
}
