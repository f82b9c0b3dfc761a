using System.Runtime.CompilerServices;
using System.Threading.Tasks.Sources;

namespace Varve.Jobs;

/// <summary>A place in a <see cref="CopyWindow"/>, and the copying of the chunk that has it now.</summary>
internal sealed class CopyChunk : IThreadPoolWorkItem, IValueTaskSource<RetiredChunk>
{
    private readonly CopyWindow _window;
    private readonly Action _end;
    private ManualResetValueTaskSourceCore<RetiredChunk> _core;
    private ConfiguredValueTaskAwaitable.ConfiguredValueTaskAwaiter _copy;

    public CopyChunk(CopyWindow window)
    {
        _window = window;
        _end = CopyEnded;
    }

    /// <summary>Bytes.</summary>
    public long Offset { get; set; }

    /// <summary>Bytes.</summary>
    public long Length { get; set; }

    /// <summary>Whether there is data to move: not where it is known to read as zeros, or where nothing is to be copied.</summary>
    public bool HasData { get; private set; }

    /// <summary>When it was begun: a timestamp.</summary>
    public long Start { get; private set; }

    /// <summary>What is being done, in the words of <c>BLOCK_JOB_ERROR</c>: what failed, when it fails.</summary>
    public string Operation { get; set; } = "";

    /// <summary>How it ended. Taken once.</summary>
    public ValueTask<RetiredChunk> End => new(this, _core.Version);

    /// <summary>There is something to copy: <see cref="Execute"/> does it.</summary>
    public void Begin(bool hasData, long start) => (HasData, Start, Operation) = (hasData, start, "read");

    /// <summary>There is nothing to copy.</summary>
    public void Pass(BlockException? failure)
    {
        HasData = false;
        _core.SetResult(new RetiredChunk(Offset, Length, IsCopy: false, failure, "read"));
    }

    public void Execute()
    {
        ValueTask copy;
        try
        {
            copy = _window.CopyAsync(this);
        }
        catch (BlockException e)
        {
            copy = ValueTask.FromException(e);
        }

        _copy = copy.ConfigureAwait(false).GetAwaiter();
        if (_copy.IsCompleted) CopyEnded();
        else _copy.UnsafeOnCompleted(_end);
    }

    private void CopyEnded()
    {
        BlockException? failure = null;
        try
        {
            _copy.GetResult();
            _window.Copied(this);
        }
        catch (BlockException e)
        {
            failure = e;
        }
#pragma warning disable CA1031 // Whatever it is, it belongs to the job that awaits.
        catch (Exception e)
#pragma warning restore CA1031
        {
            _core.SetException(e);
            return;
        }

        _core.SetResult(new RetiredChunk(Offset, Length, IsCopy: true, failure, Operation));
    }

    RetiredChunk IValueTaskSource<RetiredChunk>.GetResult(short token)
    {
        try
        {
            return _core.GetResult(token);
        }
        finally
        {
            _core.Reset();
            _copy = default;
            _window.Leave();
        }
    }

    ValueTaskSourceStatus IValueTaskSource<RetiredChunk>.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource<RetiredChunk>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _core.OnCompleted(continuation, state, token, flags);
}
