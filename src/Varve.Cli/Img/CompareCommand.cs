using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;
using Varve.Graph;
using Varve.IO;

namespace Varve.Cli.Img;

/// <summary><c>img compare</c>: whether two images show the same data.</summary>
internal sealed class CompareCommand : ImgCommand
{
    private const int Differs = 1, CannotOpen = 2, CannotQuery = 3, CannotRead = 4;

    private string? _format1, _format2;
    private bool _isOptions, _quiet, _showProgress, _strict, _forceShare;
    private CacheMode _cache = CacheMode.WriteBack;

    internal protected override OptionTable Options { get; } = new(
        "hf:F:T:pqsU", ("help", "h"), ("object:", null), ("image-opts", null), ("force-share", "U"), OptionTable.Progress);

    protected override void SetOption(ToolContext context, string key, string argument)
    {
        switch (key)
        {
            case "f": _format1 = argument; break;
            case "F": _format2 = argument; break;
            case "T": _cache = CacheMode.TryParse(argument) ?? throw new ToolException($"Invalid source cache option: {argument}", CannotOpen); break;
            case "p": _showProgress = true; break;
            case "q": _quiet = true; break;
            case "s": _strict = true; break;
            case "U": _forceShare = true; break;
            case "image-opts": _isOptions = true; break;
        }
    }

    protected override async ValueTask<int> ExecuteAsync(ToolContext context, IReadOnlyList<string> operands, CancellationToken cancellationToken)
    {
        if (operands.Count != 2) throw ToolException.Usage("Expecting two image file names");
        NodeSettings settings = _cache.Apply(new() { ReadOnly = true, ForceShare = _forceShare });
        context.UseSeveralConnections();
        BlockBackend first = await OpenAsync(operands[0], _format1).ConfigureAwait(false);
        BlockBackend second = await OpenAsync(operands[1], _format2).ConfigureAwait(false);
        using ProgressMeter progress = OpenProgress(context, "compare", _showProgress && !_quiet);
        var comparison = new ImageComparison(
            new ComparedImage(first, operands[0]), new ComparedImage(second, operands[1]), _strict, progress);
        ComparisonResult result = await comparison.RunAsync(cancellationToken).ConfigureAwait(false);
        progress.Finish();
        foreach (string line in result.Lines)
        {
            if (!_quiet) context.Console.Out.Write(line + "\n");
        }

        await context.CloseAsync(first).ConfigureAwait(false);
        await context.CloseAsync(second).ConfigureAwait(false);
        return result.IsIdentical ? 0 : Differs;

        ValueTask<BlockBackend> OpenAsync(string name, string? format)
            => context.OpenAsync(new ImageArgument(name, format, _isOptions) { Settings = settings, OpenFailure = CannotOpen }, cancellationToken);
    }

    /// <summary>One of the two images.</summary>
    private sealed record ComparedImage(BlockBackend Backend, string Name)
    {
        public async ValueTask<MapEntry> QueryAsync(long offset, long length, CancellationToken cancellationToken)
        {
            try
            {
                return await Backend.RunAsync(
                    static (node, range, ct) => MapEntry.QueryAsync(node, range.offset, range.length, ct), (offset, length), cancellationToken)
                    .ConfigureAwait(false);
            }
            catch (BlockException)
            {
                throw new ToolException($"Sector allocation test failed for {Name}", CannotQuery);
            }
        }

        public async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        {
            try
            {
                await Backend.ReadAsync(offset, buffer, cancellationToken).ConfigureAwait(false);
            }
            catch (BlockException e)
            {
                throw new ToolException($"Error while reading offset {offset} of {Name}: {Errno.Text(e.Errno)}", CannotRead);
            }
        }
    }

    private sealed record ComparisonResult(bool IsIdentical, IReadOnlyList<string> Lines);

    /// <summary>Part of the images.</summary>
    /// <param name="Length">Bytes.</param>
    /// <param name="Difference">The line that tells where they differ; null when they do not.</param>
    private readonly record struct ComparedPiece(long Length, Task<string?> Difference);

    /// <summary>Compares piece by piece, several at a time; what it tells is what comparing them one after the other would.</summary>
    private sealed class ImageComparison(ComparedImage first, ComparedImage second, bool strict, ProgressMeter progress)
    {
        /// <summary>Pieces in flight, and bytes of the longest.</summary>
        private const int MaxPieces = 4, MaxData = 512 << 10;

        /// <summary>Bytes of each image that are read at once: both fit into a processor's second cache.</summary>
        private const int ReadLength = 128 << 10;

        private readonly List<string> _lines = [];

        public async ValueTask<ComparisonResult> RunAsync(CancellationToken cancellationToken)
        {
            long length1 = first.Backend.Length, length2 = second.Backend.Length, common = Math.Min(length1, length2);
            progress.Total = Math.Max(length1, length2);
            if (strict && length1 != length2) return Different("Strict mode: Image size mismatch!");

            var window = new Queue<ComparedPiece>();
            try
            {
                for (long offset = 0; offset < common || window.Count > 0;)
                {
                    if (window.Count < MaxPieces && offset < common)
                    {
                        ComparedPiece next = await BeginPieceAsync(offset, common - offset, cancellationToken).ConfigureAwait(false);
                        window.Enqueue(next);
                        offset += next.Length;
                        continue;
                    }

                    ComparedPiece oldest = window.Dequeue();
                    if (await oldest.Difference.ConfigureAwait(false) is { } line) return Different(line);
                    progress.Advance(oldest.Length);
                }
            }
            finally
            {
                foreach (ComparedPiece piece in window) await ((Task)piece.Difference).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }

            if (length1 != length2)
            {
                _lines.Add("Warning: Image size mismatch!");
                ComparedImage longer = length1 > length2 ? first : second;
                using IOBuffer buffer = IOBuffer.Rent(MaxData);
                if (await FindDataAsync(longer, common, buffer.Memory, cancellationToken).ConfigureAwait(false) is { } at)
                {
                    return Different($"Content mismatch at offset {at}!");
                }
            }

            _lines.Add("Images are identical.");
            return new ComparisonResult(true, _lines);
        }

        /// <summary>Asks both images what lies at <paramref name="offset"/>; where that does not settle it, reading and comparing is under way when
        /// this returns. What goes wrong belongs to the piece: an earlier one may differ, which is told first.</summary>
        private async ValueTask<ComparedPiece> BeginPieceAsync(long offset, long left, CancellationToken cancellationToken)
        {
            try
            {
                MapEntry status1 = await first.QueryAsync(offset, left, cancellationToken).ConfigureAwait(false);
                MapEntry status2 = await second.QueryAsync(offset, left, cancellationToken).ConfigureAwait(false);
                if (strict && Content(status1) != Content(status2))
                {
                    return new(left, Task.FromResult<string?>($"Strict mode: Offset {offset} block status mismatch!"));
                }

                long length = Math.Min(status1.Length, status2.Length);
                if (status1.IsZero && status2.IsZero) return new(length, Task.FromResult<string?>(null));
                int dataLength = (int)Math.Min(length, MaxData);
                return new(dataLength, Task.Run(() => CompareAsync(status1, status2, offset, dataLength, cancellationToken), cancellationToken));
            }
            catch (ToolException e)
            {
                return new(left, Task.FromException<string?>(e));
            }
        }

        private async Task<string?> CompareAsync(MapEntry status1, MapEntry status2, long offset, int length, CancellationToken cancellationToken)
        {
            using IOBuffer buffer1 = IOBuffer.Rent(ReadLength), buffer2 = IOBuffer.Rent(ReadLength);
            for (long end = offset + length; offset < end; offset += ReadLength)
            {
                int part = (int)Math.Min(end - offset, ReadLength);
                Memory<byte> data1 = buffer1.Memory[..part], data2 = buffer2.Memory[..part];
                await ReadOrClearAsync(first, status1, offset, data1, cancellationToken).ConfigureAwait(false);
                await ReadOrClearAsync(second, status2, offset, data2, cancellationToken).ConfigureAwait(false);
                if (FindDifference(data1.Span, data2.Span) is { } at) return $"Content mismatch at offset {offset + at}!";
            }

            return null;
        }

        private ComparisonResult Different(string line)
        {
            _lines.Add(line);
            return new ComparisonResult(false, _lines);
        }

        private static BlockStatusFlags Content(MapEntry status)
            => status.Flags & (BlockStatusFlags.Data | BlockStatusFlags.Zero | BlockStatusFlags.Allocated | BlockStatusFlags.EndOfFile);

        private static ValueTask ReadOrClearAsync(
            ComparedImage image, MapEntry status, long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        {
            if (!status.IsZero) return image.ReadAsync(offset, buffer, cancellationToken);
            buffer.Span.Clear();
            return default;
        }

        /// <summary>The first sector that differs, as the reference reports it; null when none does.</summary>
        private static int? FindDifference(ReadOnlySpan<byte> data1, ReadOnlySpan<byte> data2)
        {
            int same = data1.CommonPrefixLength(data2);
            return same == data1.Length ? null : (int)Align.Down(same, Align.SectorSize);
        }

        private async ValueTask<long?> FindDataAsync(ComparedImage image, long start, Memory<byte> buffer, CancellationToken cancellationToken)
        {
            for (long offset = start; offset < image.Backend.Length;)
            {
                MapEntry status = await image.QueryAsync(offset, image.Backend.Length - offset, cancellationToken).ConfigureAwait(false);
                long length = status.Length;
                if (!status.IsZero)
                {
                    length = Math.Min(length, buffer.Length);
                    Memory<byte> data = buffer[..(int)length];
                    await image.ReadAsync(offset, data, cancellationToken).ConfigureAwait(false);
                    int at = data.Span.IndexOfAnyExcept((byte)0);
                    if (at >= 0) return offset + Align.Down(at, Align.SectorSize);
                }

                offset += length;
                progress.Advance(length);
            }

            return null;
        }
    }
}
