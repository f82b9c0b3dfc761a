using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using Varve.Cli.CommandLine;
using Varve.Cli.Output;
using Varve.Graph;
using Varve.IO;
using Varve.Jobs;
using Varve.Protocols.File;

namespace Varve.Cli.Img;

// How the copy proceeds
//   1. The block status of the sources cuts the work into pieces: zeros, data (at most a buffer long), or left to the backing image.
//   2. A fixed number of workers takes pieces in order. Reads run side by side; writes go out in the order of the pieces, so that a
//      target that allocates as it is written lies in order on disk. With IsOutOfOrder they do not wait for each other.
//   3. A compressed target takes whole clusters only: pieces begin and end on its clusters, and may span sources.
//   4. The first failure ends every worker; the target is then incomplete.

/// <summary>Copies one image, or several in a row, into a target.</summary>
internal sealed class ImageCopy(ToolConsole console, IReadOnlyList<BlockBackend> sources, BlockBackend target, ProgressMeter progress) : IDisposable
{
    private const long MaxZeroes = 1L << 30;

    /// <summary>Bytes of data a worker reads and writes at once. Twice or eight times as much is no faster, and takes as much more memory.</summary>
    private const int MaxData = 256 << 10;

    /// <summary>Pieces in flight towards a target that compresses them, in order: one is being compressed, those behind it are read meanwhile.</summary>
    private const int CompressedPieces = 3;

    private readonly SemaphoreSlim _pieces = new(1, 1);
    private readonly Turnstile _turns = new();
    private readonly RateLimit _rate = new(TimeProvider.System);
    private long _position;      // in the target: where the next piece begins
    private long _nextTurn;
    private int _source;
    private long _sourceStart;   // where the current source begins in the target
    private PieceKind _runKind;  // what the current source holds from the last query on
    private long _runEnd;        // where in the source that ends: pieces are cut from it until then
    private long _targetZeroFrom;

    /// <summary>Pieces in flight.</summary>
    public required int Requests { get; init; }

    /// <summary>Writes need not be in order.</summary>
    public required bool IsOutOfOrder { get; init; }

    /// <summary>How many zeros in a row, aligned, are left out; 0: everything is written.</summary>
    public required long Sparse { get; init; }

    /// <summary>0: no limit.</summary>
    public required long BytesPerSecond { get; init; }

    /// <summary>Bytes that are compressed together: the target's cluster; 0: data is written as it is.</summary>
    public required int CompressedUnit { get; init; }

    /// <summary>Let the kernel copy data that lies as it is in a file into a target that is a file.</summary>
    public required bool Offloads { get; init; }

    /// <summary>What cannot be read becomes zeros, with a warning.</summary>
    public required bool IsSalvaging { get; init; }

    /// <summary>Where the target, as it is, begins to read as zeros until its end; past its end: nobody knows.</summary>
    public required long TargetZeroFrom { get; init; }

    /// <summary>The target has a backing image: what the top layer of a source does not hold is left to it.</summary>
    public required bool SkipsBacking { get; init; }

    /// <summary>Copies everything and flushes the target.</summary>
    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        _rate.SetSpeed(BytesPerSecond);
        _targetZeroFrom = TargetZeroFrom;
        if (_targetZeroFrom > 0 && !SkipsBacking && Sparse != 0 && await TryZeroTargetAsync(cancellationToken).ConfigureAwait(false)) _targetZeroFrom = 0;
        _turns.StaysAwake = CompressedUnit == 0 && Environment.ProcessorCount > 1;
        using var failure = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var workers = new Task[CompressedUnit > 0 && !IsOutOfOrder ? Math.Min(Requests, CompressedPieces) : Requests];
        for (int i = 0; i < workers.Length; i++) workers[i] = WorkAsync(failure);
        try
        {
            await Task.WhenAll(workers).ConfigureAwait(false);
        }
        catch (Exception)
        {
            // Those that were cancelled because of the first failure have nothing to say.
            Task? first = workers.FirstOrDefault(w => w.Exception?.InnerException is ToolException);
            if (first is not null) await first.ConfigureAwait(false);
            throw;
        }

        await target.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    public void Dispose() => _pieces.Dispose();

    private async ValueTask<bool> TryZeroTargetAsync(CancellationToken cancellationToken)
    {
        try
        {
            await target.WriteZeroesAsync(0, target.Length, ZeroFlags.MayUnmap | ZeroFlags.NoFallback, cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (BlockException e) when (e.Kind == BlockErrorKind.Unsupported)
        {
            return false;
        }
    }

    private async Task WorkAsync(CancellationTokenSource failure)
    {
        await Task.Yield();
        using IOBuffer buffer = IOBuffer.Rent(DataLength);
        try
        {
            while (await TakePieceAsync(failure.Token).ConfigureAwait(false) is { } piece)
            {
                await CopyAsync(piece, buffer.Memory, failure.Token).ConfigureAwait(false);
                progress.Advance(piece.Length);
            }
        }
        catch
        {
            await failure.CancelAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Bytes of the longest piece of data. A compressed piece has a cluster for each processor: they are compressed side by side.</summary>
    private int DataLength
        => Math.Max(MaxData, (int)Math.Min((long)CompressedUnit * BitOperations.RoundUpToPowerOf2((uint)Environment.ProcessorCount), IOBuffer.MaxTransfer));

    // ---- Taking pieces

    private enum PieceKind { Data, Zero, Backing }

    private readonly record struct Piece(PieceKind Kind, int Source, long SourceOffset, long Offset, long Length, long Turn);

    private async ValueTask<Piece?> TakePieceAsync(CancellationToken cancellationToken)
    {
        await _pieces.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            while (_source < sources.Count && _position - _sourceStart >= sources[_source].Length)
            {
                _sourceStart += sources[_source++].Length;
                _runEnd = 0;
            }

            if (_source == sources.Count) return null;
            long offset = _position - _sourceStart;
            if (offset >= _runEnd)
            {
                (_runKind, long run) = await QueryAsync(sources[_source], offset, cancellationToken).ConfigureAwait(false);
                _runEnd = offset + run;
            }

            // Pieces of data end where a piece that began at 0 would, so that zeros are looked for in aligned units.
            (PieceKind kind, long end) = (_runKind, _runKind == PieceKind.Data ? Math.Min(_runEnd, Align.Down(offset + DataLength, DataLength)) : _runEnd);
            long length = end - offset;
            if (CompressedUnit > 0) (kind, length) = InWholeUnits(kind, length);
            var piece = new Piece(kind, _source, offset, _position, length, _nextTurn++);
            _position += length;
            TimeSpan delay = _rate.GetDelay();
            if (delay > TimeSpan.Zero) await Task.Delay(delay, cancellationToken).ConfigureAwait(false);
            _rate.Account(length);
            return piece;
        }
        finally
        {
            _pieces.Release();
        }
    }

    /// <summary>What a source holds from an offset on, and how far.</summary>
    private async ValueTask<(PieceKind Kind, long Length)> QueryAsync(BlockBackend source, long offset, CancellationToken cancellationToken)
    {
        BlockRun run;
        try
        {
            run = await source.RunAsync(
                (node, start, ct) => ChainStatus.AboveAsync(
                    node, SkipsBacking ? node.SkipFilters() : null, start, Math.Min(node.Length - start, MaxZeroes), precise: true, ct),
                offset,
                cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e) when (!IsSalvaging)
        {
            throw new ToolException($"error while reading block status at offset {offset}: {Errno.Text(e.Errno)}");
        }
        catch (BlockException)
        {
            return (PieceKind.Data, Math.Min(source.Length - offset, DataLength));
        }

        if (SkipsBacking && !run.IsAllocated)
        {
            // The target's backing image shows only what the source's would: where that one ends, or is none, there are zeros.
            long below = (source.Node.SkipFilters().BackingChild?.Node.Length ?? 0) - offset;
            return below > 0 ? (PieceKind.Backing, Math.Min(run.Length, below)) : (PieceKind.Zero, run.Length);
        }

        return (run.IsZero || !run.IsAllocated ? PieceKind.Zero : PieceKind.Data, run.Length);
    }

    /// <summary>What is not a whole cluster of one kind is read, whatever it is, and written as one.</summary>
    private (PieceKind Kind, long Length) InWholeUnits(PieceKind kind, long length)
        => length >= CompressedUnit
            ? (kind, Align.Down(length, CompressedUnit))
            : (PieceKind.Data, Math.Min(CompressedUnit, sources.Sum(s => s.Length) - _position));

    // ---- Copying a piece

    private async ValueTask CopyAsync(Piece piece, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        Memory<byte> data = default;
        if (Offloads && piece.Kind == PieceKind.Data && await TryOffloadAsync(piece, cancellationToken).ConfigureAwait(false)) piece = piece with { Kind = PieceKind.Backing };
        if (piece.Kind == PieceKind.Data)
        {
            data = buffer[..(int)piece.Length];
            await ReadSourcesAsync(piece, data, cancellationToken).ConfigureAwait(false);
        }

        if (!IsOutOfOrder) await _turns.WaitAsync(piece.Turn, cancellationToken).ConfigureAwait(false);
        try
        {
            if (piece.Kind == PieceKind.Data) await WriteAsync(piece.Offset, data, cancellationToken).ConfigureAwait(false);
            else if (piece.Kind == PieceKind.Zero) await WriteZeroesAsync(piece.Offset, piece.Length, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            throw new ToolException($"error while writing at byte {piece.Offset}: {Errno.Text(e.Errno)}");
        }

        if (!IsOutOfOrder) _turns.Pass();
    }

    private async ValueTask<bool> TryOffloadAsync(Piece piece, CancellationToken cancellationToken)
    {
        if (CopyOffload.FileOf(target.Node) is not { } file) return false;
        try
        {
            return await sources[piece.Source].RunAsync(
                async (node, _, ct) =>
                {
                    for (long done = 0; done < piece.Length;)
                    {
                        MapEntry at = await MapEntry.QueryAsync(node, piece.SourceOffset + done, piece.Length - done, ct).ConfigureAwait(false);
                        if (at is not { IsData: true, IsCompressed: false, HostOffset: { } host, File: FileNode from }) return false;
                        bool copied = await target.RunAsync(
                            (_, _, _) => CopyOffload.TryCopyAsync(from, host, file, piece.Offset + done, at.Length), 0, ct).ConfigureAwait(false);
                        if (!copied) return false;
                        done += at.Length;
                    }

                    return true;
                },
                0,
                cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException)
        {
            return false;   // met again, and reported, when it is copied as usual
        }
    }

    private async ValueTask ReadSourcesAsync(Piece piece, Memory<byte> data, CancellationToken cancellationToken)
    {
        while (true)
        {
            int length = (int)Math.Min(data.Length, sources[piece.Source].Length - piece.SourceOffset);
            await ReadAsync(piece, data[..length], cancellationToken).ConfigureAwait(false);
            data = data[length..];
            if (data.IsEmpty) return;
            piece = piece with { Source = piece.Source + 1, SourceOffset = 0, Offset = piece.Offset + length };
        }
    }

    private async ValueTask ReadAsync(Piece piece, Memory<byte> data, CancellationToken cancellationToken)
    {
        try
        {
            await sources[piece.Source].ReadAsync(piece.SourceOffset, data, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e) when (!IsSalvaging)
        {
            throw new ToolException($"error while reading at byte {piece.Offset}: {Errno.Text(e.Errno)}");
        }
        catch (BlockException e) when (data.Length <= Align.SectorSize)
        {
            console.Warn($"error while reading offset {piece.SourceOffset}: {Errno.Text(e.Errno)}");
            data.Span.Clear();
        }
        catch (BlockException)
        {
            // Somewhere in here: half by half, down to the sectors that really cannot be read.
            int half = (int)Align.Up(data.Length / 2, Align.SectorSize);
            await ReadAsync(piece, data[..half], cancellationToken).ConfigureAwait(false);
            Piece rest = piece with { SourceOffset = piece.SourceOffset + half, Offset = piece.Offset + half };
            await ReadAsync(rest, data[half..], cancellationToken).ConfigureAwait(false);
        }
    }

    private async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        while (!data.IsEmpty)
        {
            int length = RunLength(offset, data.Span, out bool isZero);
            if (isZero) await WriteZeroesAsync(offset, length, cancellationToken).ConfigureAwait(false);
            else await target.WriteAsync(offset, data[..length], DataFlags, cancellationToken).ConfigureAwait(false);
            offset += length;
            data = data[length..];
        }
    }

    private WriteFlags DataFlags => CompressedUnit > 0 ? WriteFlags.Compressed : WriteFlags.None;

    /// <summary>How far the data stays zero, or stays other than zero, in aligned units of <see cref="Sparse"/>, or of clusters that are
    /// compressed.</summary>
    private int RunLength(long offset, ReadOnlySpan<byte> data, out bool isZero)
    {
        isZero = false;
        if (Sparse == 0) return data.Length;
        long unit = CompressedUnit > 0 ? CompressedUnit : Sparse;
        int end = 0;
        while (end < data.Length)
        {
            long unitEnd = (offset + end) / unit * unit + unit;
            int next = (int)Math.Min(unitEnd - offset, data.Length);
            bool unitIsZero = ZeroScan.IsZero(data[end..next]);
            if (end == 0) isZero = unitIsZero;
            else if (unitIsZero != isZero) break;
            end = next;
        }

        return end;
    }

    private async ValueTask WriteZeroesAsync(long offset, long length, CancellationToken cancellationToken)
    {
        if (Sparse != 0)
        {
            length = Math.Min(length, _targetZeroFrom - offset);
            if (length > 0) await target.WriteZeroesAsync(offset, length, ZeroFlags.MayUnmap, cancellationToken).ConfigureAwait(false);
            return;
        }

        using IOBuffer zeros = IOBuffer.Rent((int)Math.Min(length, IOBuffer.MaxTransfer));
        zeros.Span.Clear();
        for (long end = offset + length; offset < end;)
        {
            int piece = (int)Math.Min(end - offset, zeros.Memory.Length);
            await target.WriteAsync(offset, zeros.Memory[..piece], DataFlags, cancellationToken).ConfigureAwait(false);
            offset += piece;
        }
    }

    /// <summary>Lets holders of consecutive numbers through, one after the other.</summary>
    /// <remarks>A thread that sleeps until its turn is some tens of microseconds late, each time, and a piece of cached data is written in a hundred. So who
    /// comes next is woken when the one before it begins, and stays awake for a while.</remarks>
    private sealed class Turnstile
    {
        private static readonly long s_spinTicks = Stopwatch.Frequency / 5_000;   // 200 us

        private readonly Lock _lock = new();
        private readonly Dictionary<long, TaskCompletionSource> _waiting = [];
        private long _now;
        private volatile bool _isTaken;   // the holder of _now has come

        /// <summary>Whether a turn is too short to sleep meanwhile, and a processor is there for who does not.</summary>
        public bool StaysAwake { get; set; }

        public async ValueTask WaitAsync(long turn, CancellationToken cancellationToken)
        {
            while (true)
            {
                if (StaysAwake) SpinWhileNext(turn);
                if (TryEnter(turn, out TaskCompletionSource? waiter)) return;
                await waiter.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
            }
        }

        public void Pass()
        {
            TaskCompletionSource? next;
            lock (_lock)
            {
                _isTaken = false;
                _waiting.Remove(Interlocked.Increment(ref _now), out next);
            }

            next?.SetResult();
        }

        /// <summary>Enters, and wakes who comes next; or gives what to wait for.</summary>
        private bool TryEnter(long turn, [NotNullWhen(false)] out TaskCompletionSource? waiter)
        {
            TaskCompletionSource? next = null;
            lock (_lock)
            {
                if (turn != _now)
                {
                    waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                    _waiting.Add(turn, waiter);
                    return false;
                }

                _isTaken = true;
                if (StaysAwake) _waiting.Remove(turn + 1, out next);
            }

            next?.SetResult();
            waiter = null;
            return true;
        }

        private void SpinWhileNext(long turn)
        {
            long start = Stopwatch.GetTimestamp();
            while (_isTaken && Volatile.Read(ref _now) == turn - 1 && Stopwatch.GetTimestamp() - start < s_spinTicks) Thread.SpinWait(16);
        }
    }
}
