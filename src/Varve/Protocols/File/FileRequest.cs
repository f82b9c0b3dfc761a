using System.Threading.Tasks.Sources;
using Varve.IO;

namespace Varve.Protocols.File;

/// <summary>What a <see cref="FileRequest"/> does on its thread.</summary>
internal enum FileOperation { Read, Write, WriteDurably, Flush, Zero, ZeroUnmap, Discard }

/// <summary>One operation of a <see cref="FileNode"/> that may block, run on another thread. Reused: nothing is allocated for it.</summary>
internal sealed class FileRequest : IValueTaskSource, IThreadPoolWorkItem
{
    private const int Kept = 256;
    private static readonly Lock s_lock = new();
    private static readonly Stack<FileRequest> s_free = new();

    private ManualResetValueTaskSourceCore<bool> _core;
    private FileNode? _node;
    private FileOperation _operation;
    private long _offset, _length;
    private Memory<byte> _target;
    private ReadOnlyMemory<byte> _source;

    private FileRequest() { }

    /// <summary>Queues the operation.</summary>
    public static ValueTask Run(
        FileNode node, FileOperation operation, long offset, long length, Memory<byte> target = default, ReadOnlyMemory<byte> source = default)
    {
        FileRequest? request;
        lock (s_lock) s_free.TryPop(out request);
        request ??= new FileRequest();
        (request._node, request._operation, request._offset, request._length) = (node, operation, offset, length);
        (request._target, request._source) = (target, source);
        var task = new ValueTask(request, request._core.Version);   // before it runs: it may be done, and reused, at once
        BlockingThreads.Shared.Run(request);
        return task;
    }

    void IThreadPoolWorkItem.Execute()
    {
        try
        {
            _node!.Perform(_operation, _offset, _length, _target, _source);
        }
#pragma warning disable CA1031 // Whatever it is, it belongs to the one who awaits.
        catch (Exception e)
#pragma warning restore CA1031
        {
            _core.SetException(e);
            return;
        }

        _core.SetResult(true);
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
