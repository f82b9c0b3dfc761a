using Varve.Cli.Output;
using Varve.Graph;
using Varve.IO;

namespace Varve.Cli.Img;

/// <summary>A number of equal requests at offsets that advance, with so many of them in flight.</summary>
internal sealed class BenchRun(BlockBackend image, ProgressMeter progress)
{
    private readonly Lock _lock = new();
    private long _offset;
    private int _issued;

    public required int Count { get; init; }

    public required int Depth { get; init; }

    public required int Size { get; init; }

    public required long Step { get; init; }

    public required bool IsWrite { get; init; }

    public required byte Pattern { get; init; }

    /// <summary>A flush after so many writes; 0: none.</summary>
    public required int FlushInterval { get; init; }

    /// <summary>Whether a flush waits for the requests before it and holds back those behind it.</summary>
    public required bool DrainsBeforeFlush { get; init; }

    public required WriteFlags WriteFlags { get; init; }

    /// <summary>Sends everything, beginning at an offset.</summary>
    public async ValueTask RunAsync(long offset, CancellationToken cancellationToken)
    {
        _offset = offset;
        if (FlushInterval == 0 || !DrainsBeforeFlush)
        {
            await SendAsync(Count, cancellationToken).ConfigureAwait(false);
            return;
        }

        for (int sent = 0; sent < Count; sent += FlushInterval)
        {
            await SendAsync(Math.Min(sent + FlushInterval, Count), cancellationToken).ConfigureAwait(false);
            if (sent + FlushInterval <= Count) await image.FlushAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Sends requests until so many have been sent since the start, and waits for them.</summary>
    private async ValueTask SendAsync(int end, CancellationToken cancellationToken)
    {
        var workers = new Task[Math.Min(Depth, end - _issued)];
        for (int i = 0; i < workers.Length; i++) workers[i] = WorkAsync(end, cancellationToken);
        await Task.WhenAll(workers).ConfigureAwait(false);
    }

    private async Task WorkAsync(int end, CancellationToken cancellationToken)
    {
        using IOBuffer buffer = IOBuffer.Rent(Size);
        if (IsWrite) buffer.Span.Fill(Pattern);
        await Task.Yield();
        while (TryTake(end, out int number, out long offset))
        {
            if (IsWrite) await image.WriteAsync(offset, buffer.Memory, WriteFlags, cancellationToken).ConfigureAwait(false);
            else await image.ReadAsync(offset, buffer.Memory, cancellationToken).ConfigureAwait(false);
            progress.Advance(Size);
            if (FlushInterval > 0 && !DrainsBeforeFlush && number % FlushInterval == 0) await image.FlushAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private bool TryTake(int end, out int number, out long offset)
    {
        lock (_lock)
        {
            (number, offset) = (_issued + 1, _offset);
            if (_issued == end) return false;
            _issued++;
            _offset += Step;

            // A request ends inside the image; the next pass begins where the last one ended, counted round.
            if (image.Length <= Size) _offset = 0;
            else _offset %= image.Length - Size;
            return true;
        }
    }
}
