using Varve.Graph;
using Varve.IO;

namespace Varve.Protocols.File;

/// <content>The request path. A read that hits the page cache and a write into it run in the caller; the rest on other threads.</content>
internal sealed partial class FileNode
{
    private readonly UnwrittenRange _unwritten = new();
    private long _written, _flushed, _discardsDone, _discardsFailed, _discardedBytes;
    private volatile BlockException? _flushFailure;

    protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        int read = _file.ReadCached(buffer.Span, offset);
        return read == buffer.Length
            ? default
            : FileRequest.Run(this, FileOperation.Read, offset + read, buffer.Length - read, target: buffer[read..]);
    }

    protected override WriteFlags SupportedWriteFlags => WriteFlags.Unchanged | WriteFlags.Fua;

    protected override ValueTask WriteCoreAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        if ((flags & WriteFlags.Fua) != 0 && !Settings.CacheNoFlush)
        {
            RefuseAfterFailedFlush();
            return FileRequest.Run(this, FileOperation.WriteDurably, offset, buffer.Length, source: buffer);
        }

        if (_file.Access.Direct) return FileRequest.Run(this, FileOperation.Write, offset, buffer.Length, source: buffer);
        _file.Write(buffer.Span, offset);
        Changed(offset + buffer.Length);
        if (WriteTurns.IsLarge(buffer.Length)) _unwritten.Add(offset, offset + buffer.Length);
        return default;
    }

    /// <remarks>Into the page cache; what goes past it is better large.</remarks>
    protected override bool TakesPiecesCore(int length) => !_file.Access.Direct;

    protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => FileRequest.Run(
            this, (flags & ZeroFlags.MayUnmap) != 0 ? FileOperation.ZeroUnmap : FileOperation.Zero, offset, length);

    protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => FileRequest.Run(this, FileOperation.Discard, offset, length);

    protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        if (Settings.CacheNoFlush) return default;
        RefuseAfterFailedFlush();
        return Volatile.Read(ref _flushed) == Volatile.Read(ref _written) ? default : FileRequest.Run(this, FileOperation.Flush, 0, 0);
    }

    internal override ValueTask BeginWritebackAsync()
        => !Settings.CacheNoFlush && _unwritten.TryTake(out long start, out long end)
            ? FileRequest.Run(this, FileOperation.BeginWriteback, start, end - start)
            : default;

    protected override ValueTask<BlockStatus> GetStatusCoreAsync(
        long offset, long length, bool precise, CancellationToken cancellationToken)
    {
        HostExtent extent = precise ? FindExtent(offset) : new HostExtent(IsData: true, long.MaxValue);
        BlockStatusFlags flags = BlockStatusFlags.OffsetValid | BlockStatusFlags.Allocated
            | (extent.IsData ? BlockStatusFlags.Data : BlockStatusFlags.Zero);

        // A last sector that the file fills only in part is one run to the sector's end.
        long end = extent.IsData && extent.End >= Volatile.Read(ref _length) ? long.MaxValue : extent.End;
        return new(new BlockStatus(flags, Math.Min(length, end - offset), offset, this));
    }

    private HostExtent FindExtent(long offset)
    {
        if (!IsUnchanging) return _file.FindExtent(offset);
        if (_extents.TryFind(offset, out HostExtent extent)) return extent;
        extent = _file.FindExtent(offset);
        _extents.Add(offset, extent);
        return extent;
    }

    protected override async ValueTask ResizeCoreAsync(long length, PreallocationMode preallocation, CancellationToken cancellationToken)
    {
        if (IsDevice)
        {
            RefuseOtherLength(length, preallocation);
            return;
        }

        HostFile file = _file;
        await BlockingThreads.Shared.RunAsync(() => FileSpace.Resize(file, length, preallocation, Graph.OnProgress)).ConfigureAwait(false);
        Volatile.Write(ref _length, length);
        Interlocked.Increment(ref _written);
    }

    private void RefuseOtherLength(long length, PreallocationMode preallocation)
    {
        if (preallocation != PreallocationMode.Off) throw Refused($"Unsupported preallocation mode '{preallocation.Word()}'");
        if (length != Length) throw Refused("Cannot resize device files");
        BlockException Refused(string message) => new(BlockErrorKind.Unsupported, message) { NodeName = NodeName };
    }

    /// <summary>Does an operation in the calling thread, which may block.</summary>
    internal void Perform(FileOperation operation, long offset, long length, Memory<byte> target, ReadOnlyMemory<byte> source)
    {
        switch (operation)
        {
            case FileOperation.Read:
                _file.Read(target.Span, offset);
                break;
            case FileOperation.Write:
                _file.Write(source.Span, offset);
                break;
            case FileOperation.WriteDurably:
                _file.WriteDurably(source.Span, offset);
                break;
            case FileOperation.Flush:
                _file.Flush();
                break;
            case FileOperation.Zero:
                Zero(offset, length);
                break;
            case FileOperation.ZeroUnmap:
                ZeroUnmap(offset, length);
                break;
            case FileOperation.Discard:
                CountDiscard(length, _file.TryDiscard(offset, length));     // a file system that cannot keeps what is there
                break;
            case FileOperation.BeginWriteback:
                _file.BeginWriteback(offset, length);
                break;
        }
    }

    /// <summary>Changes that have completed, counted.</summary>
    internal long WrittenCount => Volatile.Read(ref _written);

    /// <summary>Takes note of an operation that succeeded, whoever carried it out.</summary>
    /// <param name="operation">What was done.</param>
    /// <param name="end">Where its range ends.</param>
    /// <param name="writtenBefore"><see cref="WrittenCount"/> before it began.</param>
    internal void Performed(FileOperation operation, long end, long writtenBefore)
    {
        switch (operation)
        {
            case FileOperation.Read or FileOperation.BeginWriteback:
                break;
            case FileOperation.Flush:
                RaiseTo(ref _flushed, writtenBefore);
                break;
            case FileOperation.WriteDurably:
                RaiseTo(ref _length, end);      // durable: it needs no flush, so it does not count as a change
                break;
            case FileOperation.Discard:
                Changed(end: 0);
                break;
            default:
                Changed(end);
                break;
        }
    }

    /// <summary>Takes note of an operation that failed. Whether a durable write's failure was the write's or the medium's cannot be told
    /// apart, so it counts as both.</summary>
    internal void CouldNotPerform(FileOperation operation, Exception failure)
    {
        if (operation == FileOperation.Discard) CountDiscard(0, isDone: false);
        if (failure is BlockException block && (operation == FileOperation.Flush || (operation == FileOperation.WriteDurably && block.Kind == BlockErrorKind.Io)))
        {
            _flushFailure = block;
        }
    }

    /// <summary>A discard was carried out, or could not be.</summary>
    internal void CountDiscard(long length, bool isDone)
    {
        Interlocked.Increment(ref isDone ? ref _discardsDone : ref _discardsFailed);
        if (isDone) Interlocked.Add(ref _discardedBytes, length);
    }

    /// <summary>Copies a range of another file in the calling thread, which may block: see <see cref="CopyOffload"/>.</summary>
    internal bool TryCopyFrom(FileNode source, long sourceOffset, long offset, long length)
    {
        if (!_file.TryCopyFrom(source._file, sourceOffset, offset, length)) return false;
        Changed(offset + length);
        return true;
    }

    private void Zero(long offset, long length)
    {
        bool done = _file.TryZeroRange(offset, length);

        // A file system without FALLOC_FL_ZERO_RANGE: what lies past the end needs no zeroing, the rest may be taken out and put back.
        if (!done && (offset >= Volatile.Read(ref _length) || _file.TryPunchHole(offset, length))) done = _file.TryAllocate(offset, length);
        if (!done) throw BlockException.FromErrno(Errno.EOPNOTSUPP);
    }

    private void ZeroUnmap(long offset, long length)
    {
        if (!_file.TryPunchHole(offset, length))
        {
            Zero(offset, length);
            return;
        }

        // Grown by a write, not by setting the length, which could cut off what another write has just put behind.
        if (offset + length > Volatile.Read(ref _length))
        {
            using IOBuffer last = IOBuffer.Rent(_file.Alignment);
            last.Span.Clear();
            _file.Write(last.Span, offset + length - last.Span.Length);
        }
    }

    private void RefuseAfterFailedFlush()
    {
        if (_flushFailure is { } failed) throw BlockException.FromErrno(failed.Errno);
    }

    private void Changed(long end)
    {
        RaiseTo(ref _length, end);
        Interlocked.Increment(ref _written);
    }

    private static void RaiseTo(ref long value, long least)
    {
        long current = Volatile.Read(ref value);
        while (current < least)
        {
            long seen = Interlocked.CompareExchange(ref value, least, current);
            if (seen == current) return;
            current = seen;
        }
    }
}
