using System.Diagnostics;
using Varve.Nbd.Transport;

namespace Varve.Nbd.Server;

// Who sends
//   1. The request loop gathers the replies of a batch and sends them at once. Replies of requests that completed later are sent
//      by whoever completed them, as far as that needs no waiting; the rest by a thread of the connection's own, started when it is
//      first needed. So a client that does not read holds up its own two threads and nobody else's.
//   2. _sending is held while bytes go out, and _partial, a reply of which only the beginning went out, goes before everything else:
//      replies never mix.
//   3. When sending fails the stream is broken: the transport is shut down, which ends the loop, and later replies are dropped.
//   4. A region of the loop's buffer that a request in flight will fill is behind _sent, and the buffer is held for it.

/// <summary>The replies to one client.</summary>
internal sealed class ReplyStream(NbdTransport transport) : IDisposable
{
    private readonly Lock _sending = new();
    private readonly object _gate = new();
    private readonly Queue<PendingRequest> _late = new();
    private PendingRequest? _partial;
    private Thread? _lateSender;
    private bool _isEnding;
    private volatile bool _isBroken;
    private SharedBuffer _buffer = new();
    private int _sent, _end;

    // ---- The request loop

    /// <summary>Bytes gathered and not sent.</summary>
    public int Gathered => _end - _sent;

    /// <summary>Room for a reply behind those gathered, sending them first when there is none.</summary>
    /// <param name="length">At most <see cref="SharedBuffer.Size"/>.</param>
    public Memory<byte> Reserve(int length)
    {
        if (SharedBuffer.Size - _end < length) StartOver();
        return _buffer.Memory.Slice(_end, length);
    }

    /// <summary>The first <paramref name="length"/> bytes of what was reserved are a reply.</summary>
    public void Commit(int length) => _end += length;

    /// <summary>What was reserved is filled by a request in flight, which sends it itself.</summary>
    /// <returns>The buffer, held for the request.</returns>
    public SharedBuffer Detach(int length)
    {
        SendGathered();
        _end += length;
        _sent = _end;
        _buffer.Hold();
        return _buffer;
    }

    /// <summary>Adds a finished reply; a large one is sent at once, behind those gathered.</summary>
    public void Append(ReadOnlySpan<byte> reply)
    {
        if (reply.Length <= SharedBuffer.Size / 2)
        {
            reply.CopyTo(Reserve(reply.Length).Span);
            Commit(reply.Length);
            return;
        }

        Flush();
        lock (_sending) SendUnderLock(reply);
    }

    /// <summary>Sends what was gathered.</summary>
    public void Flush()
    {
        if (_end == _sent) return;
        SendGathered();
        if (!_buffer.IsShared) _sent = _end = 0;
    }

    private void SendGathered()
    {
        if (_end == _sent) return;
        lock (_sending) SendUnderLock(_buffer.Memory.Span[_sent.._end]);
        _sent = _end;
    }

    private void StartOver()
    {
        Flush();
        if (_buffer.IsShared)
        {
            _buffer.Release();
            _buffer = new SharedBuffer();
        }

        _sent = _end = 0;
    }

    // ---- Requests that completed later, on any thread

    /// <summary>Sends the reply of a request that completed after the loop went on, now or soon; then the request is recycled.</summary>
    public void SendLate(PendingRequest request)
    {
        lock (_gate) _late.Enqueue(request);
        if (_sending.TryEnter())
        {
            try
            {
                SendLateUnderLock(mayWait: false);
            }
            finally
            {
                _sending.Exit();
            }
        }

        lock (_gate)
        {
            if (_late.Count == 0 && _partial is null) return;
            if (_lateSender is null)
            {
                _lateSender = new Thread(SendLateUntilEnd) { IsBackground = true, Name = "nbd replies" };
                _lateSender.Start();
            }

            Monitor.Pulse(_gate);
        }
    }

    private void SendLateUntilEnd()
    {
        while (true)
        {
            lock (_gate)
            {
                while (_late.Count == 0 && _partial is null)
                {
                    if (_isEnding) return;
                    Monitor.Wait(_gate);
                }
            }

            lock (_sending) SendLateUnderLock(mayWait: true);
        }
    }

    private void SendLateUnderLock(bool mayWait)
    {
        while (NextLate() is { } request)
        {
            ReadOnlySpan<byte> left = request.Reply.Span[request.SentLength..];
            if (mayWait)
            {
                SendWhole(left);
            }
            else
            {
                request.SentLength += TrySend(left);
                if (request.SentLength < request.Reply.Length) return;
            }

            FinishLate(request);
        }
    }

    private PendingRequest? NextLate()
    {
        lock (_gate)
        {
            if (_partial is null && _late.TryDequeue(out PendingRequest? next)) _partial = next;
            return _partial;
        }
    }

    private void FinishLate(PendingRequest request)
    {
        lock (_gate)
        {
            Debug.Assert(ReferenceEquals(_partial, request));
            _partial = null;
        }

        request.Recycle();
    }

    // ---- Sending; _sending is held

    private void SendUnderLock(ReadOnlySpan<byte> bytes)
    {
        if (Volatile.Read(ref _partial) is { SentLength: > 0 } begun)
        {
            SendWhole(begun.Reply.Span[begun.SentLength..]);
            FinishLate(begun);
        }

        SendWhole(bytes);
    }

    private void SendWhole(ReadOnlySpan<byte> bytes)
    {
        if (_isBroken) return;
        try
        {
            transport.Send(bytes);
        }
        catch (IOException)
        {
            Break();
        }
    }

    private int TrySend(ReadOnlySpan<byte> bytes)
    {
        if (_isBroken) return bytes.Length;
        try
        {
            return transport.TrySend(bytes);
        }
        catch (IOException)
        {
            Break();
            return bytes.Length;
        }
    }

    private void Break()
    {
        _isBroken = true;
        transport.Shutdown();
    }

    /// <summary>Ends the thread for late replies. No request is in flight any more.</summary>
    public void Dispose()
    {
        Thread? sender;
        lock (_gate)
        {
            _isEnding = true;
            sender = _lateSender;
            Monitor.Pulse(_gate);
        }

        sender?.Join();
        _buffer.Release();
    }
}
