using System.Runtime.CompilerServices;
using Varve.Graph;
using Varve.IO;

namespace Varve.Jobs;

// Catching up with the guest
//   1. A write marks its chunks when it is done, before its guest is told. The job clears a chunk's mark before it reads it. So a
//      chunk without a mark holds in the base what the top shows, or is being copied.
//   2. No place is copied twice at a time: the older copy could come last.
//   3. The job's requests go to the nodes, not through its backends: those let nothing in once a drained section begins, which waits for
//      the job's rest.
//   4. What is written while the job ends is copied in a drained section, in which nothing more is written.

/// <content>The work: finds what lies between top and base, copies it, and what is written meanwhile, many chunks at a time.</content>
internal sealed partial class CommitJob
{
    private const int MaxCopy = 512 << 10;
    private const long LookAhead = 1L << 30;
    private readonly CopyWindow _window;
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
            if (!_window.IsEmpty && (_window.IsFull || Speed != 0 || IsPausing))
            {
                await RetireOldestAsync().ConfigureAwait(false);
                continue;
            }

            if (_window.IsEmpty) await PauseForSpeedAsync().ConfigureAwait(false);
            if (IsCancelled) return;
            if (_dirty.TryTake(next, MaxCopy, out long offset, out int bytes))
            {
                while (_window.Overlaps(offset, bytes)) await RetireOldestAsync().ConfigureAwait(false);
                _window.Begin(offset, bytes);
                _copyingBytes += bytes;
                next = offset + bytes;
                UpdateTotal();
                continue;
            }

            if (!_window.IsEmpty)
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

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask RetireOldestAsync()
    {
        RetiredChunk chunk = await RetireAsync().ConfigureAwait(false);
        if (chunk.Failure is null || IsCancelled) return;
        switch (OnRequestError(_options.OnError, chunk.FailedOperation, chunk.Failure.Errno))
        {
            case ErrorAction.Ignore:
                _ignored ??= chunk.Failure;
                break;
            case ErrorAction.Stop:
                _dirty.Mark(chunk.Offset, chunk.Length);   // after resuming, again
                await SettleAsync().ConfigureAwait(false);
                break;
            default:
                throw chunk.Failure;
        }
    }

    /// <summary>Waits for what is in flight; what failed of it is to be copied again.</summary>
    private async ValueTask SettleAsync()
    {
        while (!_window.IsEmpty)
        {
            RetiredChunk chunk = await RetireAsync().ConfigureAwait(false);
            if (chunk.Failure is not null) _dirty.Mark(chunk.Offset, chunk.Length);
        }
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    private async ValueTask<RetiredChunk> RetireAsync()
    {
        RetiredChunk chunk = await _window.RetireAsync().ConfigureAwait(false);
        _copyingBytes -= chunk.Length;
        if (chunk.Failure is not null) return chunk;
        Advance(chunk.Length);
        AccountCopied(chunk.Length);
        UpdateTotal();
        return chunk;
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask CopyAsync(CopyChunk chunk)
    {
        using IOBuffer data = IOBuffer.Rent((int)chunk.Length);
        await _plan.Top.ReadAsync(chunk.Offset, data.Memory, CancellationToken.None).ConfigureAwait(false);
        chunk.Operation = "write";
        if (ZeroScan.IsZero(data.Span)) await _plan.Base.WriteZeroesAsync(chunk.Offset, chunk.Length, ZeroFlags.MayUnmap, CancellationToken.None).ConfigureAwait(false);
        else await _plan.Base.WriteAsync(chunk.Offset, data.Memory, WriteFlags.None, CancellationToken.None).ConfigureAwait(false);
    }
}
