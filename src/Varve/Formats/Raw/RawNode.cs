using Varve.Graph;

namespace Varve.Formats.Raw;

/// <summary>A view of a child's bytes: all of them, or a window.</summary>
internal sealed class RawNode(NodeOpening opening) : BlockNode(opening)
{
    private readonly bool _isGuessed = opening.IsProbed;
    private BlockNode _file = null!;
    private long _offset;
    private long? _size;

    /// <summary>Where the window begins in the child.</summary>
    public long Offset => _offset;

    /// <summary>Whether the node shows its child unchanged.</summary>
    public bool IsWhole => _offset == 0 && _size is null;

    /// <summary>Whole sectors; what the child lacks for the last one reads as zeros.</summary>
    public override long Length => _size ?? Align.Up(Math.Max(0, _file.Length - _offset), Align.SectorSize);

    protected override WriteFlags SupportedWriteFlags => WriteFlags.Unchanged | WriteFlags.Fua;

    protected override ZeroFlags SupportedZeroFlags => ZeroFlags.Unchanged | ZeroFlags.MayUnmap | ZeroFlags.NoFallback | ZeroFlags.Fua;

    /// <summary>Where the format was guessed, whole sectors, so that the first one can be judged when it is written.</summary>
    public override int RequestAlignment => _isGuessed ? ImageProbe.GuardedLength : 1;

    public override void OnChildrenChanged() => _file = FindChild("file")?.Node!;

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
        TrackBecauseOfAlignment();
    }

    protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => _file.ReadAsync(offset + _offset, buffer, cancellationToken);

    protected override ValueTask WriteCoreAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        if (_isGuessed && offset < ImageProbe.GuardedLength) RefuseHeader(buffer.Span);
        return _file.WriteAsync(offset + _offset, buffer, flags, cancellationToken);
    }

    protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => _file.WriteZeroesAsync(offset + _offset, length, flags, cancellationToken);

    protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => _file.DiscardAsync(offset + _offset, length, cancellationToken);

    protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken) => _file.FlushAsync(cancellationToken);

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

    /// <summary>A guest must not turn an image that was guessed raw into one that the next guess takes for something else.</summary>
    private void RefuseHeader(ReadOnlySpan<byte> start)
    {
        if (!ImageProbe.LooksLikeAnotherFormat(Graph.Drivers, start[..Math.Min(start.Length, ImageProbe.GuardedLength)])) return;
        throw new BlockException(BlockErrorKind.Denied, Errno.Text(Errno.EPERM)) { NodeName = NodeName, Errno = Errno.EPERM };
    }
}
