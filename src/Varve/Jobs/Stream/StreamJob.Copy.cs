using Varve.Graph;

namespace Varve.Jobs;

// The window
//   1. Chunks are started in the order of their offsets and retired in the same order: progress, errors and the speed limit see them
//      as if they were copied one after another.
//   2. The job comes to rest (pauses, sleeps, ends) only with an empty window: then no request of it is in the graph.
//   3. With a speed limit the window is one chunk.

/// <content>The work: finds what lies between top and base, and copies it, many chunks at a time.</content>
internal sealed partial class StreamJob
{
    /// <summary>Bytes of a chunk: what an error costs, and what the speed limit counts in. The reference's.</summary>
    private const int ChunkSize = 512 << 10;

    /// <summary>Bytes of a chunk that is known to be zeros, which costs no copying.</summary>
    private const int ZeroChunkSize = 64 << 20;

    /// <summary>Bytes asked for in one look at the allocation: holes and data of the top are skipped in steps of up to this.</summary>
    private const long LookAhead = 1L << 30;

    private readonly Queue<Chunk> _window = new();
    private readonly CopyWindow _limit = new();
    private BlockException? _ignored;
    private long _next;

    protected override async Task RunAsync()
    {
        if (ReferenceEquals(_plan.TopImage, _plan.BaseOverlay)) return;
        long length = _plan.Top.Length;
        SetTotal(length);
        while (true)
        {
            if (_window.Count > 0 && (_window.Count >= _limit.Size || _next == length || Speed != 0 || IsPausing || IsCancelled))
            {
                await RetireOldestAsync().ConfigureAwait(false);
                continue;
            }

            if (_window.Count == 0) await PauseForSpeedAsync().ConfigureAwait(false);
            if (IsCancelled || _next == length) break;
            Chunk chunk = await FindNextAsync(length).ConfigureAwait(false);
            _window.Enqueue(chunk);
            _next += chunk.Length;
        }

        await SettleAsync().ConfigureAwait(false);
        if (IsCancelled) return;
        if (_ignored is not null) throw _ignored;

        // Once here, without the control lock, so that little is left to do when it is held.
        await _plan.TopImage.FlushAsync(CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>Looks at the chain at <see cref="_next"/>: a run to skip, or a chunk whose copying is under way when this returns.</summary>
    private async ValueTask<Chunk> FindNextAsync(long length)
    {
        long left = length - _next;
        try
        {
            BlockRun held = await ChainStatus.IsAllocatedAsync(_plan.TopImage, _next, Math.Min(left, LookAhead), CancellationToken.None)
                .ConfigureAwait(false);
            if (held.IsAllocated) return new Chunk(_next, held.Length, null);
            BlockRun below = await ChainStatus.AboveAsync(
                _plan.TopImage.BackingChild?.Node, _plan.BaseOverlay, _next, held.Length, precise: false, CancellationToken.None)
                .ConfigureAwait(false);
            if (!below.IsAllocated) return new Chunk(_next, below.Length, null);

            long most = below.IsZero && Speed == 0 ? ZeroChunkSize : ChunkSize;
            (long offset, long size) = (_next, Math.Min(below.Length, most));
            long start = Graph.Time.GetTimestamp();
            return new Chunk(offset, size, BeginCopy(() => CopyAsync(offset, size, below.IsZero, start)));
        }
        catch (BlockException e)
        {
            return new Chunk(_next, Math.Min(left, ChunkSize), Task.FromResult<BlockException?>(e));
        }
    }

    private async Task<BlockException?> CopyAsync(long offset, long length, bool isZero, long start)
    {
        try
        {
            await _filter!.PrefetchAsync(offset, length, CancellationToken.None).ConfigureAwait(false);
            if (!isZero) _limit.Copied(Graph.Time.GetElapsedTime(start));
            return null;
        }
        catch (BlockException e)
        {
            return e;
        }
    }

    private async ValueTask RetireOldestAsync()
    {
        Chunk chunk = _window.Dequeue();
        BlockException? failure = chunk.Copy is null ? null : await chunk.Copy.ConfigureAwait(false);
        if (failure is null)
        {
            Advance(chunk.Length);
            if (chunk.Copy is not null) AccountCopied(chunk.Length);
            return;
        }

        if (IsCancelled) return;
        switch (OnRequestError(_options.OnError, "read", failure.Errno))
        {
            case ErrorAction.Ignore:
                _ignored ??= failure;
                Advance(chunk.Length);
                break;
            case ErrorAction.Stop:
                await SettleAsync().ConfigureAwait(false);
                _next = chunk.Offset;   // after resuming, the same chunk again; what the others copied meanwhile is found allocated
                break;
            default:
                await SettleAsync().ConfigureAwait(false);
                throw failure;
        }
    }

    /// <summary>Waits for what is in flight and forgets how it ended.</summary>
    private async ValueTask SettleAsync()
    {
        while (_window.TryDequeue(out Chunk chunk))
        {
            if (chunk.Copy is not null) await chunk.Copy.ConfigureAwait(false);
        }
    }

    /// <summary>A piece of the disk.</summary>
    /// <param name="Offset">Bytes.</param>
    /// <param name="Length">Bytes.</param>
    /// <param name="Copy">Its copying, with what went wrong; null when there is nothing to copy.</param>
    private readonly record struct Chunk(long Offset, long Length, Task<BlockException?>? Copy);
}
