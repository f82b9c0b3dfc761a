using Varve.Graph;
using Varve.IO;

namespace Varve.Filters.BlkVerify;

/// <summary>Does every request on both children and compares what they read.</summary>
internal sealed class BlkVerifyNode(NodeOpening opening) : FilterNode(opening)
{
    private readonly Action<string>? _onMismatch = opening.Context.OnMismatch;
    private BlockNode? _test;

    /// <summary>The image decides how long both are.</summary>
    public override long Length => _test?.Length ?? base.Length;

    public override void OnChildrenChanged()
    {
        base.OnChildrenChanged();
        _test = FindChild("test")?.Node;
    }

    /// <summary><c>blkverify:raw:test</c>, where both have plain names.</summary>
    protected internal override string? GetExactFilename(bool hasStrongOptions)
        => Child?.Node.ExactFilename is { } raw && _test?.ExactFilename is { } test ? $"blkverify:{raw}:{test}" : null;

    protected override async ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        using IOBuffer copy = IOBuffer.Rent(buffer.Length);
        await _test!.ReadAsync(offset, buffer, cancellationToken).ConfigureAwait(false);
        await Below.ReadAsync(offset, copy.Memory, cancellationToken).ConfigureAwait(false);
        int same = buffer.Span.CommonPrefixLength(copy.Span);
        if (same == buffer.Length) return;
        string message = $"blkverify: read offset={offset} bytes={buffer.Length} contents mismatch at offset {offset + same}";

        // Differs from QEMU: a library does not end the process. A tool that runs tests does, when it is told.
        _onMismatch?.Invoke(message);
        throw new BlockException(BlockErrorKind.Io, message) { NodeName = NodeName, Offset = offset + same };
    }

    protected override async ValueTask WriteCoreAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        flags &= ~WriteFlags.Compressed;
        await _test!.WriteAsync(offset, buffer, flags, cancellationToken).ConfigureAwait(false);
        await Below.WriteAsync(offset, buffer, flags, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Zeros are written, so that both children get the same requests.</summary>
    protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => throw BlockException.FromErrno(Errno.EOPNOTSUPP);

    /// <summary>Afterwards the children may read differently, so neither is told.</summary>
    protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken) => default;

    protected override async ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        await _test!.FlushAsync(cancellationToken).ConfigureAwait(false);
        await Below.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    protected override ValueTask ResizeCoreAsync(long length, PreallocationMode preallocation, CancellationToken cancellationToken)
        => throw new BlockException(BlockErrorKind.Unsupported, "Image format driver does not support resize") { NodeName = NodeName };
}
