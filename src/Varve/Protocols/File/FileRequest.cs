using System.Threading.Tasks.Sources;

namespace Varve.Protocols.File;

/// <summary>What a <see cref="FileRequest"/> does.</summary>
internal enum FileOperation { Read, Write, WriteDurably, Flush, Zero, ZeroUnmap, Discard, BeginWriteback }

/// <summary>One operation of a <see cref="FileNode"/> that may have to wait, in the hands of an engine. Reused: nothing is allocated for it.</summary>
internal sealed partial class FileRequest : IValueTaskSource, IThreadPoolWorkItem
{
    private const int Kept = 256;
    private static readonly Lock s_lock = new();
    private static readonly Stack<FileRequest> s_free = new();

    private ManualResetValueTaskSourceCore<bool> _core;
    private FileNode? _node;
    private FileOperation _operation;
    private long _offset, _length, _writtenBefore;
    private Memory<byte> _target;
    private ReadOnlyMemory<byte> _source;

    private FileRequest() { }

    /// <summary>Begins the operation.</summary>
    public static ValueTask Run(
        FileNode node, FileOperation operation, long offset, long length, Memory<byte> target = default, ReadOnlyMemory<byte> source = default)
    {
        FileRequest? request;
        lock (s_lock) s_free.TryPop(out request);
        request ??= new FileRequest();
        (request._node, request._operation, request._offset, request._length) = (node, operation, offset, length);
        (request._target, request._source, request._done, request._failure) = (target, source, 0, null);
        request._writtenBefore = node.WrittenCount;
        var task = new ValueTask(request, request._core.Version);   // before it runs: it may be done, and reused, at once
        node.Engine.Start(request);
        return task;
    }

    /// <summary>Carries out all of it, or what an engine has left, in the calling thread.</summary>
    public void Execute()
    {
        int done = (int)_done;
        try
        {
            _node!.Perform(
                _operation, _offset + done, _length - done, _target.IsEmpty ? _target : _target[done..], _source.IsEmpty ? _source : _source[done..]);
        }
#pragma warning disable CA1031 // Whatever it is, it belongs to the one who awaits.
        catch (Exception e)
#pragma warning restore CA1031
        {
            Fail(e);
            return;
        }

        Succeed();
    }

    private void Succeed()
    {
        _node!.Performed(_operation, _offset + _length, _writtenBefore);
        _core.SetResult(true);
    }

    private void Fail(Exception failure)
    {
        _node!.CouldNotPerform(_operation, failure);
        _core.SetException(failure);
    }

    void IValueTaskSource.GetResult(short token)
    {
        try
        {
            _core.GetResult(token);
        }
        finally
        {
            _core.Reset();
            (_node, _target, _source) = (null, default, default);
            lock (s_lock)
            {
                if (s_free.Count < Kept) s_free.Push(this);
            }
        }
    }

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _core.OnCompleted(continuation, state, token, flags);
}
