namespace Varve.Qmp.Server.Chardevs;

/// <summary>Reads of a stream that knows no cancellation (a terminal, a pipe), which can be given up nevertheless.</summary>
/// <remarks>A read that was given up stays under way until the process ends or data comes; its data is kept for the next read.</remarks>
internal sealed class DetachableStream(Stream inner) : Stream
{
    private readonly byte[] _buffer = new byte[4096];
    private Task<int>? _read;
    private int _start, _end;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_start == _end)
        {
            _read ??= Task.Factory.StartNew(
                () => inner.Read(_buffer), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            int count = await _read.WaitAsync(cancellationToken).ConfigureAwait(false);
            _read = null;
            (_start, _end) = (0, count);

            // The end of the input is not the end of the conversation: events still go out, and replies that are under way.
            if (count == 0) await Task.Delay(Timeout.Infinite, cancellationToken).ConfigureAwait(false);
        }

        int taken = Math.Min(buffer.Length, _end - _start);
        _buffer.AsMemory(_start, taken).CopyTo(buffer);
        _start += taken;
        return taken;
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush() { }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
