using Varve.Graph;
using Varve.IO;

namespace Varve.Jobs;

// Catching up with the guest
//   1. A write marks its chunks when it is done, before its guest is told. The job clears a chunk's mark before it reads it. So a
//      chunk without a mark holds in the base what the top shows, or is being copied.
//   2. No place is copied twice at a time: the older copy could come last.
//   3. The job comes to rest (pauses, sleeps, ends) only with an empty window: then no request of it is in the graph. Its requests go to
//      the nodes, not through its backends: those let nothing in once a drained section begins, which waits for the job's rest.
//   4. What is written while the job ends is copied in a drained section, in which nothing more is written.

/// <content>The work: finds what lies between top and base, copies it, and what is written meanwhile, many chunks at a time.</content>
internal sealed partial class CommitJob
{
    private const int MaxCopy = 512 << 10;
    private const long LookAhead = 1L << 30;
    private readonly Queue<Copy> _window = new();
    private readonly CopyWindow _limit = new();
    private BlockException? _ignored;
    private long _copyingBytes;

    protected override async Task RunAsync()
    {
        long length = _plan.Top.Length;
        if (_plan.Base.Length < length) await _plan.Base.ResizeAsync(length, PreallocationMode.Off, CancellationToken.None).ConfigureAwait(false);
        await FindDataAsync(length).ConfigureAwait(false);
        try
        {
            await CopyUntilEndAsync().ConfigureAwait(false);
        }
        finally
        {
            await SettleAsync().ConfigureAwait(false);
        }
    }

    private async ValueTask CopyUntilEndAsync()
    {
        for (long next = 0; !IsCancelled;)
        {
            if (_window.Count > 0 && (_window.Count >= _limit.Size || Speed != 0 || IsPausing))
            {
                await RetireOldestAsync().ConfigureAwait(false);
                continue;
            }

            if (_window.Count == 0) await PauseForSpeedAsync().ConfigureAwait(false);
            if (IsCancelled) return;
            if (_dirty.TryTake(next, MaxCopy, out long offset, out int bytes))
            {
                while (_window.Any(c => offset < c.Offset + c.Bytes && c.Offset < offset + bytes)) await RetireOldestAsync().ConfigureAwait(false);
                _window.Enqueue(new Copy(offset, bytes, BeginCopy(() => CopyAsync(offset, bytes))));
                _copyingBytes += bytes;
                next = offset + bytes;
                UpdateTotal();
                continue;
            }

            if (_window.Count > 0)
            {
                await RetireOldestAsync().ConfigureAwait(false);
                continue;
            }

            if (_ignored is not null) throw _ignored;
            if (!_plan.IsActive || _isEnding) return;
            if (!IsReady) BecomeReady();
            await SleepAsync(static () => TimeSpan.FromMilliseconds(50)).ConfigureAwait(false);
        }
    }

    /// <summary>Marks what the layers above the base decide.</summary>
    private async ValueTask FindDataAsync(long length)
    {
        BlockNode last = _plan.LastImage;
        for (long offset = 0; offset < length;)
        {
            await PausePointAsync().ConfigureAwait(false);
            if (IsCancelled) return;
            BlockRun run = await ChainStatus.AboveAsync(
                _plan.TopImage, last, offset, Math.Min(LookAhead, length - offset), precise: false, CancellationToken.None).ConfigureAwait(false);
            if (run.IsAllocated) _dirty.Mark(offset, run.Length);
            offset += Math.Max(run.Length, 1);
        }

        UpdateTotal();
    }

    private void UpdateTotal() => SetTotal(CurrentProgress + _copyingBytes + _dirty.DirtyBytes);

    private async ValueTask RetireOldestAsync()
    {
        Copy copy = _window.Dequeue();
        CopyFailure? failure = await EndAsync(copy).ConfigureAwait(false);
        if (failure is null || IsCancelled) return;
        switch (OnRequestError(_options.OnError, failure.Operation, failure.Error.Errno))
        {
            case ErrorAction.Ignore:
                _ignored ??= failure.Error;
                break;
            case ErrorAction.Stop:
                _dirty.Mark(copy.Offset, copy.Bytes);   // after resuming, again
                await SettleAsync().ConfigureAwait(false);
                break;
            default:
                throw failure.Error;
        }
    }

    /// <summary>Waits for what is in flight; what failed of it is to be copied again.</summary>
    private async ValueTask SettleAsync()
    {
        while (_window.TryDequeue(out Copy copy))
        {
            if (await EndAsync(copy).ConfigureAwait(false) is not null) _dirty.Mark(copy.Offset, copy.Bytes);
        }
    }

    private async ValueTask<CopyFailure?> EndAsync(Copy copy)
    {
        CopyFailure? failure = await copy.Done.ConfigureAwait(false);
        _copyingBytes -= copy.Bytes;
        if (failure is not null) return failure;
        Advance(copy.Bytes);
        AccountCopied(copy.Bytes);
        UpdateTotal();
        return null;
    }

    private async Task<CopyFailure?> CopyAsync(long offset, int bytes)
    {
        string operation = "read";
        try
        {
            long start = Graph.Time.GetTimestamp();
            using IOBuffer data = IOBuffer.Rent(bytes);
            await _plan.Top.ReadAsync(offset, data.Memory, CancellationToken.None).ConfigureAwait(false);
            operation = "write";
            if (ZeroScan.IsZero(data.Span)) await _plan.Base.WriteZeroesAsync(offset, bytes, ZeroFlags.MayUnmap, CancellationToken.None).ConfigureAwait(false);
            else await _plan.Base.WriteAsync(offset, data.Memory, WriteFlags.None, CancellationToken.None).ConfigureAwait(false);
            _limit.Copied(Graph.Time.GetElapsedTime(start));
            return null;
        }
        catch (BlockException e)
        {
            return new CopyFailure(operation, e);
        }
    }

    /// <summary>A chunk on its way.</summary>
    /// <param name="Offset">Bytes.</param>
    /// <param name="Bytes">How many.</param>
    /// <param name="Done">Its end, with what went wrong.</param>
    private readonly record struct Copy(long Offset, int Bytes, Task<CopyFailure?> Done);

    /// <summary>Why a chunk was not copied.</summary>
    /// <param name="Operation">What failed, in the words of <c>BLOCK_JOB_ERROR</c>.</param>
    /// <param name="Error">How.</param>
    private sealed record CopyFailure(string Operation, BlockException Error);
}
