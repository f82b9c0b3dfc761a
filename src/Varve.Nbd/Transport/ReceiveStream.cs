namespace Varve.Nbd.Transport;

/// <summary>What a client has sent: received in large pieces, looked at in place.</summary>
/// <remarks>One thread. Bytes handed out by <see cref="Take"/> stay where they are as long as <see cref="Buffer"/> of that moment is held.</remarks>
internal sealed class ReceiveStream(NbdTransport transport) : IDisposable
{
    /// <summary>Bytes that are moved without need: far cheaper than the system call that follows.</summary>
    private const int MaxMoved = 16 << 10;

    private SharedBuffer _buffer = new();
    private int _start, _end;

    /// <summary>The buffer that <see cref="Peek"/> and <see cref="Take"/> point into now.</summary>
    public SharedBuffer Buffer => _buffer;

    /// <summary>Bytes received and not taken.</summary>
    public int Available => _end - _start;

    /// <summary>The received bytes that are not taken.</summary>
    public ReadOnlySpan<byte> Peek() => _buffer.Memory.Span[_start.._end];

    /// <summary>Takes the next <paramref name="length"/> bytes, which are available.</summary>
    public ReadOnlyMemory<byte> Take(int length)
    {
        ReadOnlyMemory<byte> taken = _buffer.Memory.Slice(_start, length);
        _start += length;
        return taken;
    }

    /// <summary>Waits until <paramref name="length"/> bytes (at most <see cref="SharedBuffer.Size"/>) are available.</summary>
    /// <param name="length">How many.</param>
    /// <param name="isSoon">Whether they are likely to come at once: <see cref="NbdTransport.ReceiveSoon"/>.</param>
    /// <returns>False when the client ended the stream before.</returns>
    public bool Fill(int length, bool isSoon = false)
    {
        if (Available >= length) return true;
        MakeRoom(length);
        while (Available < length)
        {
            Span<byte> room = _buffer.Memory.Span[_end..];
            int received = isSoon ? transport.ReceiveSoon(room) : transport.Receive(room);
            if (received == 0) return false;
            _end += received;
        }

        return true;
    }

    /// <summary>Takes bytes into the caller's memory, waiting for them.</summary>
    /// <returns>False when the client ended the stream before.</returns>
    public bool TryRead(Span<byte> target)
    {
        int available = Math.Min(Available, target.Length);
        Take(available).Span.CopyTo(target);
        target = target[available..];
        while (!target.IsEmpty)
        {
            int received = transport.Receive(target);
            if (received == 0) return false;
            target = target[received..];
        }

        return true;
    }

    /// <summary>Takes bytes and forgets them, waiting for them.</summary>
    /// <returns>False when the client ended the stream before.</returns>
    public bool Skip(long length)
    {
        while (length > 0)
        {
            if (!Fill(1)) return false;
            int piece = (int)Math.Min(length, Available);
            _start += piece;
            length -= piece;
        }

        return true;
    }

    public void Dispose() => _buffer.Release();

    // Little that is left moves to the front: so the same few pages are used again and again, which are in the processor's cache, and the rest of the
    // buffer takes no memory. The rest of a buffer somebody points into cannot be moved; it moves to the front of a fresh one.
    private void MakeRoom(int length)
    {
        int kept = Available;
        bool isShared = _buffer.IsShared;
        if ((isShared || kept > MaxMoved) && _start + length <= SharedBuffer.Size && _end < SharedBuffer.Size) return;

        SharedBuffer target = isShared ? new SharedBuffer() : _buffer;
        _buffer.Memory.Span[_start.._end].CopyTo(target.Memory.Span);
        if (isShared) _buffer.Release();
        (_buffer, _start, _end) = (target, 0, kept);
    }
}
