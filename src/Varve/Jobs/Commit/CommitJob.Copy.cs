using Varve.Graph;
using Varve.IO;

namespace Varve.Jobs;

// Catching up with the guest
//   1. A write marks its chunks when it is done, before its guest is told. The job clears a chunk's mark before it reads it. So a
//      chunk without a mark holds in the base what the top shows, or is being copied.
//   2. What is written while the job ends is copied in a drained section, in which nothing more is written.

/// <content>The work: finds what lies between top and base, copies it, and what is written meanwhile.</content>
internal sealed partial class CommitJob
{
    private const int MaxCopy = 1 << 20;
    private const long LookAhead = 1L << 30;
    private BlockException? _ignored;
    private bool _hasFailedWriting;

    protected override async Task RunAsync()
    {
        long length = _plan.Top.Length;
        if (_plan.Base.Length < length)
        {
            await _target!.RunAsync(
                static async (node, size, cancel) =>
                {
                    await node.ResizeAsync(size, PreallocationMode.Off, cancel).ConfigureAwait(false);
                    return true;
                },
                length).ConfigureAwait(false);
        }

        await FindDataAsync(length).ConfigureAwait(false);
        for (long next = 0; !IsCancelled;)
        {
            await PauseForSpeedAsync().ConfigureAwait(false);
            if (IsCancelled) return;
            if (_dirty.TryTake(next, MaxCopy, out long offset, out int bytes))
            {
                await CopyOrReportAsync(offset, bytes).ConfigureAwait(false);
                next = offset + bytes;
                SetTotal(CurrentProgress + (_dirty.DirtyBytes));
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
            BlockRun run = await _source!.RunAsync(
                static (_, at, cancel) => ChainStatus.AboveAsync(at.Top, at.Last, at.Offset, at.Length, precise: false, cancel),
                (Top: _plan.TopImage, Last: last, Offset: offset, Length: Math.Min(LookAhead, length - offset))).ConfigureAwait(false);
            if (run.IsAllocated) _dirty.Mark(offset, run.Length);
            offset += Math.Max(run.Length, 1);
        }

        SetTotal(_dirty.DirtyBytes);
    }

    private async ValueTask CopyOrReportAsync(long offset, int bytes)
    {
        try
        {
            await _source!.RunAsync(
                static async (top, copy, _) =>
                {
                    await copy.Job.CopyAsync(top, copy.Job._plan.Base, copy.Offset, copy.Bytes).ConfigureAwait(false);
                    return true;
                },
                (Job: this, Offset: offset, Bytes: bytes)).ConfigureAwait(false);
            Advance(bytes);
            AccountCopied(bytes);
        }
        catch (BlockException e)
        {
            switch (OnRequestError(_options.OnError, _hasFailedWriting ? "write" : "read", e.Errno))
            {
                case ErrorAction.Ignore:
                    _ignored ??= e;
                    break;
                case ErrorAction.Stop:
                    _dirty.Mark(offset, bytes);   // after resuming, again
                    break;
                default:
                    throw;
            }
        }
    }

    private async ValueTask CopyAsync(BlockNode from, BlockNode to, long offset, int bytes)
    {
        _hasFailedWriting = false;
        using IOBuffer data = IOBuffer.Rent(bytes);
        await from.ReadAsync(offset, data.Memory, CancellationToken.None).ConfigureAwait(false);
        _hasFailedWriting = true;
        if (ZeroScan.IsZero(data.Span)) await to.WriteZeroesAsync(offset, bytes, ZeroFlags.MayUnmap, CancellationToken.None).ConfigureAwait(false);
        else await to.WriteAsync(offset, data.Memory, WriteFlags.None, CancellationToken.None).ConfigureAwait(false);
    }
}
