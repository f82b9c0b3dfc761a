using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;

namespace Varve.Fuzz.Targets;

/// <summary>A file in memory that refuses to grow beyond 16 MiB: an image must not be able to fill the machine.</summary>
internal sealed class FuzzFileDriver : BlockDriver
{
    public override string Name => "fuzz";

    public override IReadOnlyList<OptionMember> Options => [];

    /// <summary>What the next node holds.</summary>
    public byte[] Content { get; set; } = [];

    public override ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken) => new(new FuzzFileNode(opening, Content));
}

/// <summary>The node over it.</summary>
internal sealed class FuzzFileNode(NodeOpening opening, byte[] content) : BlockNode(opening)
{
    private const int MaxLength = 16 << 20;

    private byte[] _bytes = content;
    private int _length = content.Length;

    public override long Length => _length;

    protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        _bytes.AsSpan((int)offset, buffer.Length).CopyTo(buffer.Span);
        return default;
    }

    protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        SetLength(Math.Max(offset + buffer.Length, _length));
        buffer.Span.CopyTo(_bytes.AsSpan((int)offset));
        return default;
    }

    protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken) => default;

    protected override ValueTask ResizeCoreAsync(long length, PreallocationMode preallocation, CancellationToken cancellationToken)
    {
        SetLength(length);
        return default;
    }

    protected override ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, bool precise, CancellationToken cancellationToken)
        => new(new BlockStatus(BlockStatusFlags.Data | BlockStatusFlags.Allocated | BlockStatusFlags.OffsetValid, length, offset, this));

    private void SetLength(long length)
    {
        if (length > MaxLength) throw BlockException.FromErrno(Errno.EFBIG);
        if (length > _bytes.Length) Array.Resize(ref _bytes, (int)Math.Max(length, Math.Min(2L * _bytes.Length, MaxLength)));
        if (length < _length) _bytes.AsSpan((int)length, (int)(_length - length)).Clear();
        _length = (int)length;
    }
}
