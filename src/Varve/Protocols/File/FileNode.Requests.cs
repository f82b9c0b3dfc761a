using Varve.Graph;

namespace Varve.Protocols.File;

/// <content>The request path. A read that hits the page cache and a write into it run in the caller; the rest on other threads.</content>
internal sealed partial class FileNode
{
    private long _written, _flushed;
    private BlockException? _flushFailure;

    protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        int read = _file.ReadCached(buffer.Span, offset);
        return read == buffer.Length
            ? default
            : FileRequest.Run(this, FileOperation.Read, offset + read, buffer.Length - read, target: buffer[read..]);
    }

    protected override ValueTask WriteCoreAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        if (_file.Access.Direct) return FileRequest.Run(this, FileOperation.Write, offset, buffer.Length, source: buffer);
        _file.Write(buffer.Span, offset);
        Changed(offset + buffer.Length);
        return default;
    }

    protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => FileRequest.Run(
            this, (flags & ZeroFlags.MayUnmap) != 0 ? FileOperation.ZeroUnmap : FileOperation.Zero, offset, length);

    protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => FileRequest.Run(this, FileOperation.Discard, offset, length);

    protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        if (Settings.CacheNoFlush) return default;
        if (_flushFailure is not null) throw _flushFailure;
        return Volatile.Read(ref _flushed) == Volatile.Read(ref _written) ? default : FileRequest.Run(this, FileOperation.Flush, 0, 0);
    }

    protected override ValueTask<BlockStatus> GetStatusCoreAsync(
        long offset, long length, bool precise, CancellationToken cancellationToken)
    {
        HostExtent extent = precise ? _file.FindExtent(offset) : new HostExtent(IsData: true, long.MaxValue);
        BlockStatusFlags flags = BlockStatusFlags.OffsetValid | BlockStatusFlags.Allocated
            | (extent.IsData ? BlockStatusFlags.Data : BlockStatusFlags.Zero);
        return new(new BlockStatus(flags, Math.Min(length, extent.End - offset), offset, this));
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
                Changed(offset + length);
                break;
            case FileOperation.Flush:
                Flush();
                break;
            case FileOperation.Zero:
                Zero(offset, length);
                break;
            case FileOperation.ZeroUnmap:
                ZeroUnmap(offset, length);
                break;
            case FileOperation.Discard:
                if (_file.TryPunchHole(offset, length)) Changed(offset);
                break;
        }
    }

    private void Zero(long offset, long length)
    {
        if (!_file.TryZeroRange(offset, length)) throw BlockException.FromErrno(Errno.EOPNOTSUPP);
        Changed(offset + length);
    }

    private void ZeroUnmap(long offset, long length)
    {
        if (!_file.TryPunchHole(offset, length))
        {
            Zero(offset, length);
            return;
        }

        if (offset + length > Volatile.Read(ref _length)) _file.SetLength(offset + length);
        Changed(offset + length);
    }

    private void Flush()
    {
        long written = Volatile.Read(ref _written);
        try
        {
            _file.Flush();
        }
        catch (BlockException e)
        {
            _flushFailure = e;
            throw;
        }

        RaiseTo(ref _flushed, written);
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
