namespace Varve;

/// <summary>A disk as a <see cref="Stream"/>: of fixed length, seekable, written where the disk is writable.</summary>
/// <remarks>Several streams of one disk have positions of their own and may be used at once; one stream by one caller at a time.
/// The synchronous members wait for the asynchronous ones.</remarks>
internal sealed class DiskStream(VirtualDisk disk, bool leaveOpen) : Stream
{
    private long _position;

    public override bool CanRead => true;

    public override bool CanSeek => true;

    public override bool CanWrite => !disk.IsReadOnly;

    public override long Length => disk.Length;

    public override long Position
    {
        get => _position;
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            _position = value;
        }
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int length = (int)Math.Clamp(disk.Length - _position, 0, buffer.Length);
        if (length == 0) return 0;
        await disk.ReadAsync(_position, buffer[..length], cancellationToken).ConfigureAwait(false);
        _position += length;
        return length;
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (!CanWrite) throw new NotSupportedException("The disk is read-only.");
        if (buffer.Length > disk.Length - _position) throw new BlockException(BlockErrorKind.NoSpace, $"{buffer.Length} bytes at {_position} do not end inside the disk of {disk.Length} bytes");
        await disk.WriteAsync(_position, buffer, cancellationToken).ConfigureAwait(false);
        _position += buffer.Length;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
        => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
        => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => ReadAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

    public override void Write(byte[] buffer, int offset, int count) => WriteAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

    public override Task FlushAsync(CancellationToken cancellationToken) => disk.FlushAsync(cancellationToken).AsTask();

    public override void Flush() => FlushAsync(CancellationToken.None).GetAwaiter().GetResult();

    public override long Seek(long offset, SeekOrigin origin) => Position = origin switch
    {
        SeekOrigin.Begin => offset,
        SeekOrigin.Current => _position + offset,
        SeekOrigin.End => Length + offset,
        _ => throw new ArgumentOutOfRangeException(nameof(origin)),
    };

    /// <summary>The length of a disk is changed by resizing its image, not through a view of it.</summary>
    public override void SetLength(long value) => throw new NotSupportedException("A view does not resize its disk.");

    public override async ValueTask DisposeAsync()
    {
        if (!leaveOpen) await disk.DisposeAsync().ConfigureAwait(false);
        await base.DisposeAsync().ConfigureAwait(false);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing && !leaveOpen) disk.DisposeAsync().AsTask().GetAwaiter().GetResult();
        base.Dispose(disposing);
    }
}
