using System.Runtime.CompilerServices;
using Varve.Graph;
using Varve.IO;

namespace Varve.Jobs;

/// <content>The work: finds what lies between top and base, and copies it in the order of the disk, many chunks at a time. With a speed limit it is
/// one at a time.</content>
internal sealed partial class StreamJob
{
    /// <summary>Bytes of a chunk: what an error costs, and what the speed limit counts in. The reference's.</summary>
    private const int ChunkSize = 512 << 10;

    /// <summary>Bytes of a chunk that is known to be zeros, which costs no copying.</summary>
    private const int ZeroChunkSize = 64 << 20;

    /// <summary>Bytes asked for in one look at the allocation: holes and data of the top are skipped in steps of up to this.</summary>
    private const long LookAhead = 1L << 30;

    private readonly CopyWindow _window;
    private BlockException? _ignored;
    private long _next;

    protected override async Task RunAsync()
    {
        if (ReferenceEquals(_plan.TopImage, _plan.BaseOverlay)) return;
        long length = _plan.Top.Length;
        SetTotal(length);
        try
        {
            await CopyAllAsync(length).ConfigureAwait(false);
        }
        finally
        {
            await SettleAsync().ConfigureAwait(false);
        }

        if (IsCancelled) return;
        if (_ignored is not null) throw _ignored;

        // Once here, without the control lock, so that little is left to do when it is held.
        await _plan.TopImage.FlushAsync(CancellationToken.None).ConfigureAwait(false);
    }

    private async ValueTask CopyAllAsync(long length)
    {
        while (true)
        {
            if (!_window.IsEmpty && (_window.IsFull || _next == length || Speed != 0 || IsPausing || IsCancelled))
            {
                await RetireOldestAsync().ConfigureAwait(false);
                continue;
            }

            if (_window.IsEmpty) await PauseForSpeedAsync().ConfigureAwait(false);
            if (IsCancelled || _next == length) return;
            await BeginNextAsync(length).ConfigureAwait(false);
        }
    }

    /// <summary>Looks at the chain at <see cref="_next"/>, and takes the run that is found there into the window.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask BeginNextAsync(long length)
    {
        (long offset, long left) = (_next, length - _next);
        try
        {
            (left, bool isCopy, bool isZero) = await LookAsync(offset, Math.Min(left, LookAhead)).ConfigureAwait(false);
            if (isCopy) _window.Begin(offset, left = Math.Min(left, isZero && Speed == 0 ? ZeroChunkSize : ChunkSize), isZero);
            else _window.Pass(offset, left);
        }
        catch (BlockException e)
        {
            left = Math.Min(left, ChunkSize);
            _window.Pass(offset, left, e);
        }

        _next += left;
    }

    /// <summary>Whether a run is to be copied: not held by the top, but by one of those below it that leave.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    private async ValueTask<(long Length, bool IsCopy, bool IsZero)> LookAsync(long offset, long length)
    {
        BlockRun held = await ChainStatus.IsAllocatedAsync(_plan.TopImage, offset, length, CancellationToken.None).ConfigureAwait(false);
        if (held.IsAllocated) return (held.Length, false, false);
        BlockRun below = await ChainStatus.AboveAsync(
            _plan.TopImage.BackingChild?.Node, _plan.BaseOverlay, offset, held.Length, precise: false, CancellationToken.None).ConfigureAwait(false);
        return (below.Length, below.IsAllocated, below.IsZero);
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask RetireOldestAsync()
    {
        RetiredChunk chunk = await _window.RetireAsync().ConfigureAwait(false);
        if (chunk.Failure is null)
        {
            Advance(chunk.Length);
            if (chunk.IsCopy) AccountCopied(chunk.Length);
            return;
        }

        if (IsCancelled) return;
        switch (OnRequestError(_options.OnError, chunk.FailedOperation, chunk.Failure.Errno))
        {
            case ErrorAction.Ignore:
                _ignored ??= chunk.Failure;
                Advance(chunk.Length);
                break;
            case ErrorAction.Stop:
                await SettleAsync().ConfigureAwait(false);
                _next = chunk.Offset;   // after resuming, the same chunk again; what the others copied meanwhile is found allocated
                break;
            default:
                throw chunk.Failure;
        }
    }

    /// <summary>Waits for what is in flight and forgets how it ended.</summary>
    private async ValueTask SettleAsync()
    {
        while (!_window.IsEmpty) await _window.RetireAsync().ConfigureAwait(false);
    }
}
