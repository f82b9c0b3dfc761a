using Varve.Graph;

namespace Varve.Jobs;

/// <summary>A chunk that has left the window.</summary>
/// <param name="Offset">Bytes.</param>
/// <param name="Length">Bytes.</param>
/// <param name="IsCopy">Whether there was something to copy.</param>
/// <param name="Failure">Why it was not copied; null where it was, or did not need to be.</param>
/// <param name="FailedOperation">What failed, in the words of <c>BLOCK_JOB_ERROR</c>.</param>
internal readonly record struct RetiredChunk(long Offset, long Length, bool IsCopy, BlockException? Failure, string FailedOperation);

// The window
//   1. Chunks are retired in the order in which they were begun: progress, errors and the speed limit see them as if they were copied one
//      after another.
//   2. A job comes to rest (pauses, sleeps, ends) only with an empty window: then no request of it is in the graph.
//   3. A chunk's place is used again once it is retired: copying allocates nothing.
//   4. What was copied does not pile up in the host's cache: from time to time the host is asked to begin with writing it back, while
//      copying goes on. The flush at the end, during which a guest's writes and flushes wait for the device, has less to do.

/// <summary>The chunks that a job has in flight. Used by the job's own task, one call at a time.</summary>
/// <param name="graph">Whose clock and threads for copying are used.</param>
/// <param name="target">What is copied into.</param>
/// <param name="copy">Copies a chunk.</param>
internal sealed class CopyWindow(BlockGraph graph, BlockNode target, Func<CopyChunk, ValueTask> copy)
{
    /// <summary>Bytes between two requests to write back: a few hundredths of a second of a disk's time.</summary>
    private const long WritebackStep = 8 << 20;

    private readonly WindowSize _size = new();
    private readonly Queue<CopyChunk> _chunks = new();
    private readonly Stack<CopyChunk> _free = new();
    private Task _writeback = Task.CompletedTask;
    private long _copied;   // since the last request to write back

    public bool IsEmpty => _chunks.Count == 0 && _writeback.IsCompleted;

    /// <summary>Whether more chunks in flight would not make copying faster.</summary>
    public bool IsFull => _chunks.Count >= _size.Value;

    /// <summary>Whether a chunk in flight touches a range.</summary>
    public bool Overlaps(long offset, long length)
    {
        foreach (CopyChunk chunk in _chunks)
        {
            if (offset < chunk.Offset + chunk.Length && chunk.Offset < offset + length) return true;
        }

        return false;
    }

    /// <summary>Begins to copy on a thread for copying. Where the copy has to wait for storage, it leaves that thread to the next.</summary>
    /// <param name="offset">Bytes.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="isZero">Whether the range is known to read as zeros: how long that takes says nothing about the storage.</param>
    public void Begin(long offset, long length, bool isZero = false)
    {
        CopyChunk chunk = Enter(offset, length);
        chunk.Begin(!isZero, graph.Time.GetTimestamp());
        if (graph.CopyThreads is { } threads) threads.Run(chunk);
        else ThreadPool.UnsafeQueueUserWorkItem(chunk, preferLocal: false);
    }

    /// <summary>Takes in a range with nothing to copy, which keeps its place in the order.</summary>
    /// <param name="offset">Bytes.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="failure">Why it cannot be copied; null: it does not need to be.</param>
    public void Pass(long offset, long length, BlockException? failure = null) => Enter(offset, length).Pass(failure);

    /// <summary>Takes the oldest chunk out, when it has ended; behind the last, waits for writing back to have begun, and answers an empty chunk.</summary>
    public ValueTask<RetiredChunk> RetireAsync() => _chunks.TryPeek(out CopyChunk? oldest) ? oldest.End : EndAsync();

    private async ValueTask<RetiredChunk> EndAsync()
    {
        await _writeback.ConfigureAwait(false);
        return default;
    }

    private CopyChunk Enter(long offset, long length)
    {
        if (!_free.TryPop(out CopyChunk? chunk)) chunk = new CopyChunk(this);
        (chunk.Offset, chunk.Length) = (offset, length);
        _chunks.Enqueue(chunk);
        return chunk;
    }

    internal ValueTask CopyAsync(CopyChunk chunk) => copy(chunk);

    /// <summary>A chunk was copied. From any thread.</summary>
    internal void Copied(CopyChunk chunk)
    {
        if (chunk.HasData) _size.Copied(graph.Time.GetElapsedTime(chunk.Start));
    }

    /// <summary>The oldest chunk has ended, and the job has its result.</summary>
    internal void Leave()
    {
        CopyChunk chunk = _chunks.Dequeue();
        _free.Push(chunk);
        if (chunk.HasData) _copied += chunk.Length;
        if (_copied < WritebackStep || !_writeback.IsCompleted) return;
        _copied = 0;
        _writeback = target.BeginWritebackAsync().AsTask();
    }
}
