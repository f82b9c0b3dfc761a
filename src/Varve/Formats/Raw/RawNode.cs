using System.Runtime.CompilerServices;
using Varve.Graph;
using Varve.IO;
namespace Varve.Formats.Raw;

/// <summary>A view of a child's bytes: all of them, or a window.</summary>
internal sealed class RawNode(NodeOpening opening) : BlockNode(opening)
{
    private readonly SemaphoreSlim? _headGuard = opening.IsProbed ? new(1) : null;
    private BlockNode _file = null!;
    private long _offset;
    private long? _size;

    /// <summary>Where the window begins in the child.</summary>
    public long Offset => _offset;

    public override bool? IsDirty => _file.IsDirty;

    public override bool ReadsZeroWhenNew => _file.ReadsZeroWhenNew;

    /// <summary>Whether the node shows its child unchanged.</summary>
    public bool IsWhole => _offset == 0 && _size is null;

    /// <summary>Whole sectors; what the child lacks for the last one reads as zeros.</summary>
    public override long Length => _size ?? Align.Up(Math.Max(0, _file.Length - _offset), Align.SectorSize);

    protected override bool TakesPiecesCore(int length) => _file.TakesPieces(length);

    protected override WriteFlags SupportedWriteFlags => WriteFlags.Unchanged | WriteFlags.Fua;

    protected override ZeroFlags SupportedZeroFlags => ZeroFlags.Unchanged | ZeroFlags.MayUnmap | ZeroFlags.NoFallback | ZeroFlags.Fua;

    public override ValueTask CloseAsync()
    {
        _headGuard?.Dispose();
        return default;
    }

    public override void OnChildrenChanged() => _file = FindChild("file")?.Node!;

    public override Func<CancellationToken, ValueTask>? PrepareReopen(NodeOpening opening)
    {
        (long offset, long? size) = RawDriver.TakeWindow(opening);
        if (offset == _offset && size == _size) return null;
        return _ =>
        {
            SetWindow(offset, size);
            return default;
        };
    }

    /// <summary>Sets the window, once the child is attached.</summary>
    internal void SetWindow(long offset, long? size)
    {
        long available = _file.Length;
        if (offset > available)
        {
            throw new BlockException(
                BlockErrorKind.Invalid, $"Offset ({offset}) cannot be greater than size of the containing file ({available})");
        }

        if (size > available - offset)
        {
            throw new BlockException(
                BlockErrorKind.Invalid,
                $"The sum of offset ({offset}) and size ({size}) has to be smaller or equal to the  actual size of the containing file ({available})");
        }

        if (size is { } bytes && !Align.Is(bytes, Align.SectorSize))
        {
            throw new BlockException(BlockErrorKind.Invalid, "Specified size is not multiple of 512");
        }

        (_offset, _size) = (offset, size);
    }

    public override ValueTask DebugEventAsync(BlkdebugEvent debugEvent) => _file.DebugEventAsync(debugEvent);

    protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        ValueTask announced = _file.DebugEventAsync(BlkdebugEvent.ReadAio);
        return announced.IsCompletedSuccessfully
            ? _file.ReadAsync(offset + _offset, buffer, cancellationToken)
            : ReadAfterAsync(announced, offset, buffer, cancellationToken);
    }

    protected override ValueTask WriteCoreAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        if (_headGuard is not null && offset < ImageProbe.GuardedLength) return WriteGuardedAsync(offset, buffer, flags, cancellationToken);
        ValueTask announced = _file.DebugEventAsync(BlkdebugEvent.WriteAio);
        return announced.IsCompletedSuccessfully
            ? _file.WriteAsync(offset + _offset, buffer, flags, cancellationToken)
            : WriteAfterAsync(announced, offset, buffer, flags, cancellationToken);
    }

    protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => _file.WriteZeroesAsync(offset + _offset, length, flags, cancellationToken);

    protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => _file.DiscardAsync(offset + _offset, length, cancellationToken);

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    protected override async ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        await _file.DebugEventAsync(BlkdebugEvent.FlushToOs).ConfigureAwait(false);
        await _file.DebugEventAsync(BlkdebugEvent.FlushToDisk).ConfigureAwait(false);
        await _file.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The child knows; where it ends within our last sector, zeros follow.</summary>
    protected override ValueTask<BlockStatus> GetStatusCoreAsync(
        long offset, long length, bool precise, CancellationToken cancellationToken)
        => offset + _offset >= _file.Length
            ? new(new BlockStatus(BlockStatusFlags.Zero | BlockStatusFlags.Allocated, length))
            : _file.GetStatusAsync(offset + _offset, length, precise, cancellationToken);

    protected override ValueTask ResizeCoreAsync(long length, PreallocationMode preallocation, CancellationToken cancellationToken)
        => _size is not null
            ? throw new BlockException(BlockErrorKind.Unsupported, "Cannot resize fixed-size raw disks") { NodeName = NodeName }
            : _file.ResizeAsync(length + _offset, preallocation, cancellationToken);

    private async ValueTask ReadAfterAsync(ValueTask announced, long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        await announced.ConfigureAwait(false);
        await _file.ReadAsync(offset + _offset, buffer, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask WriteAfterAsync(
        ValueTask announced, long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        await announced.ConfigureAwait(false);
        await _file.WriteAsync(offset + _offset, buffer, flags, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>A node that was guessed raw refuses a write after which it would be guessed to be something else: with a header of its
    /// own making a guest could name any file of the host as its backing file. One such write at a time, so none is put together of two.</summary>
    private async ValueTask WriteGuardedAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        await _headGuard!.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            using IOBuffer head = IOBuffer.Rent(ImageProbe.GuardedLength);
            await _file.ReadAsync(_offset, head.Memory, cancellationToken).ConfigureAwait(false);
            buffer[..(int)Math.Min(buffer.Length, ImageProbe.GuardedLength - offset)].CopyTo(head.Memory[(int)offset..]);
            if (ImageProbe.LooksLikeAnotherFormat(Graph.Drivers, head.Span))
            {
                throw new BlockException(BlockErrorKind.Denied, Errno.Text(Errno.EPERM)) { NodeName = NodeName, Offset = offset, Errno = Errno.EPERM };
            }

            await _file.DebugEventAsync(BlkdebugEvent.WriteAio).ConfigureAwait(false);
            await _file.WriteAsync(offset + _offset, buffer, flags, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _headGuard.Release();
        }
    }
}
