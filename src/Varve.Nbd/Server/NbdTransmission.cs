using System.Runtime.CompilerServices;
using Varve.Graph;
using Varve.IO;
using Varve.Nbd.Transport;
using Varve.Nbd.Wire;

namespace Varve.Nbd.Server;

// The request loop
//   1. One receive brings a batch of requests; each is executed on the spot, and one send answers the batch. On a hit nothing is
//      allocated, no lock is taken and no other thread is involved.
//   2. What does not complete on the spot goes on as a PendingRequest, bounded in number and bytes, and is answered when it is done.
//   3. Before the loop waits for anything, what it began has been handed to the kernel. Before it waits for the client, everything gathered has been sent: client and server never wait for each other.
//   4. Run returns when the client has left and none of its requests is in flight.

/// <summary>Serves the requests of one client.</summary>
internal sealed partial class NbdTransmission : IDisposable
{
    /// <summary>Bytes of data up to which requests are handled inside the stream buffers; larger ones get a buffer of their own.</summary>
    private const int MaxInline = 64 << 10;

    /// <summary>Bytes of data of a larger write that are written at once, where the image takes pieces: half of what a processor's second cache
    /// holds, at most.</summary>
    private const int PieceLength = 128 << 10;

    /// <summary>Bytes of replies, and of data written, after which a batch is sent although more requests wait: the client works on the replies
    /// meanwhile. Otherwise the two would take turns.</summary>
    private const int SendThreshold = 64 << 10;

    private readonly NbdSession _session;
    private readonly BlockBackend _backend;
    private readonly ReceiveStream _input;
    private readonly ReplyStream _replies;
    private readonly PendingRequests _pending;
    private readonly HeaderForm _form;
    private readonly int _requestSize;
    private readonly int _readHeaderSize;
    private int _written;       // bytes of data since the last send
    private bool _isQueueing;   // the client sent more while a request was executed

    public NbdTransmission(NbdSession session, NbdTransport transport, ReceiveStream input, Action<Exception>? defectFound)
    {
        _session = session;
        _backend = session.Export.Backend;
        _input = input;
        _form = session.Form;
        _requestSize = RequestHeader.SizeOf(_form == HeaderForm.Extended);
        _readHeaderSize = ReadReply.HeaderSize(_form);
        _replies = new ReplyStream(transport);
        _pending = new PendingRequests(_replies, _form, defectFound);
    }

    /// <summary>Serves until the client leaves, breaks the protocol, or the transport is shut down.</summary>
    public void Run()
    {
        SubmissionBatch.Open();
        try
        {
            while (TryReceive(_requestSize))
            {
                if (!RequestHeader.TryRead(_input.Peek(), out RequestHeader request, _form == HeaderForm.Extended) || request.Command == CommandType.Disconnect) break;
                _input.Take(_requestSize);
                if (!Execute(request)) break;
                if (_input.Available > 0) _isQueueing = true;
                if (_replies.Gathered + _written >= SendThreshold) SendAll();
            }
        }
        finally
        {
            SubmissionBatch.Close();
            _replies.Flush();
            _pending.WaitForAll();
        }
    }

    public void Dispose() => _replies.Dispose();

    /// <summary>Makes bytes available, sending what was gathered before waiting for them.</summary>
    private bool TryReceive(int length)
    {
        if (_input.Available >= length) return true;
        SendAll();
        bool isOneByOne = !_isQueueing;   // a client that waits for each reply: the time of a wake-up is all of its time
        _isQueueing = false;
        return _input.Fill(length, isOneByOne);
    }

    /// <summary>Sends on what was gathered, both ways: requests to the kernel, replies to the client.</summary>
    private void SendAll()
    {
        SubmissionBatch.Send();
        _replies.Flush();
        _written = 0;
    }

    /// <summary>Executes or refuses one request; false when the stream cannot go on.</summary>
    private bool Execute(in RequestHeader request)
    {
        if (Refusal(request) is { } refusal)
        {
            Refuse(request, refusal.Error, refusal.Text);
            return !HasPayload(request) || SkipData(request.Length);
        }

        switch (request.Command)
        {
            case CommandType.Read:
                Read(request);
                return true;
            case CommandType.Write:
                return Write(request);
            case CommandType.BlockStatus when HasPayload(request):
                return BlockStatusOfSome(request);
            default:
                Begin(request);
                return true;
        }
    }

    // ---- READ

    private void Read(in RequestHeader request)
    {
        int length = (int)request.Length;
        if (length > MaxInline)
        {
            ReadLarge(request, length);
            return;
        }

        int size = Math.Max(_readHeaderSize + length, PendingRequest.MaxErrorReply);
        Memory<byte> room = _replies.Reserve(size);
        if (length == 0)
        {
            ReplyWithoutData(request, room.Span);
            return;
        }

        try
        {
            ValueTask read = _backend.ReadAsync((long)request.Offset, room.Slice(_readHeaderSize, length));
            if (read.IsCompletedSuccessfully)
            {
                read.GetAwaiter().GetResult();
                _replies.Commit(ReadReply.Finish(room.Span, request, _form));
                return;
            }

            SharedBuffer buffer = _replies.Detach(size);   // first of all: renting may send, which must not reuse the room
            PendingRequest pending = _pending.Rent(request, size);
            pending.Keep(buffer);
            pending.ReplyIn(room);
            Finish(pending, read);
        }
        catch (BlockException e)
        {
            _replies.Commit(PendingRequest.WriteError(room.Span, request, e, _form));
        }
    }

    private void ReadLarge(in RequestHeader request, int length)
    {
        // The data begins on a page, as direct I/O likes it, and the header stands right in front.
        int room = Varve.Interop.AlignedMemory.Alignment;
        PendingRequest pending = _pending.Rent(request, room + length);
        IOBuffer buffer = IOBuffer.Rent(room + length);
        pending.Keep(buffer);
        pending.ReplyIn(buffer.Memory[(room - _readHeaderSize)..]);
        ValueTask read;
        try
        {
            read = _backend.ReadAsync((long)request.Offset, buffer.Memory[room..]);
        }
        catch (BlockException e)
        {
            read = ValueTask.FromException(e);
        }

        Finish(pending, read);
    }

    private void ReplyWithoutData(in RequestHeader request, Span<byte> room)
    {
        if (_form == HeaderForm.Structured)
        {
            new ChunkHeader(ChunkFlags.Done, ChunkType.None, request.Cookie, 0).WriteTo(room);
            _replies.Commit(ChunkHeader.Size);
            return;
        }

        Succeed(request);
    }

    // ---- WRITE

    private bool Write(in RequestHeader request)
    {
        int length = (int)request.Length;
        if (length > MaxInline) return WriteLarge(request, length);
        if (!TryReceive(length)) return false;
        ReadOnlyMemory<byte> data = _input.Take(length);
        _written += length;
        try
        {
            ValueTask write = _backend.WriteAsync((long)request.Offset, data, WriteFlagsOf(request));
            if (write.IsCompletedSuccessfully)
            {
                write.GetAwaiter().GetResult();
                Succeed(request);
                return true;
            }

            _input.Buffer.Hold();
            PendingRequest pending = _pending.Rent(request, length);
            pending.Keep(_input.Buffer);
            Finish(pending, write);
        }
        catch (BlockException e)
        {
            Fail(request, e);
        }

        return true;
    }

    private bool WriteLarge(in RequestHeader request, int length)
    {
        WriteFlags flags = WriteFlagsOf(request);
        return flags == WriteFlags.None && _backend.Node.TakesPieces(PieceLength)
            ? WriteInPieces(request, length)
            : WriteRest(request, (long)request.Offset, length, flags, begun: default);
    }

    /// <summary>Writes the data as it comes: a piece is still in the processor's cache then, and meanwhile the client sends the next.</summary>
    private bool WriteInPieces(in RequestHeader request, int length)
    {
        long offset = (long)request.Offset, end = offset + length;
        while (offset < end)
        {
            int piece = (int)(Math.Min(Align.Down(offset, PieceLength) + PieceLength, end) - offset);
            if (!TryReceive(piece)) return false;
            ReadOnlyMemory<byte> data = _input.Take(piece);
            _written += piece;
            try
            {
                ValueTask write = _backend.WriteAsync(offset, data);
                offset += piece;
                if (!write.IsCompletedSuccessfully) return WriteRest(request, offset, (int)(end - offset), WriteFlags.None, write);
                write.GetAwaiter().GetResult();
            }
            catch (BlockException e)
            {
                Fail(request, e);
                return SkipData((ulong)(end - offset));
            }
        }

        Succeed(request);
        return true;
    }

    /// <summary>Receives what is left of the data, then writes it.</summary>
    /// <param name="request">The request.</param>
    /// <param name="offset">Where the rest goes.</param>
    /// <param name="length">Its bytes, which may be none.</param>
    /// <param name="flags">How it is written.</param>
    /// <param name="begun">The write of the piece before it, out of the input's buffer and not done yet; null where the rest is all.</param>
    private bool WriteRest(in RequestHeader request, long offset, int length, WriteFlags flags, ValueTask? begun)
    {
        if (begun is not null) _input.Buffer.Hold();
        PendingRequest pending = _pending.Rent(request, length);
        if (begun is not null) pending.Keep(_input.Buffer);
        IOBuffer rest = IOBuffer.Rent(length);
        pending.Keep(rest);
        SendAll();
        bool isWhole = false;
        try
        {
            isWhole = _input.TryRead(rest.Span);
        }
        finally
        {
            if (!isWhole && begun is { } alone) Finish(pending, alone);   // it needs its memory until it is done
            else if (!isWhole) pending.Recycle();
        }

        if (!isWhole) return false;
        ValueTask write = default;
        try
        {
            if (length > 0) write = _backend.WriteAsync(offset, rest.Memory, flags);
        }
        catch (BlockException e)
        {
            write = ValueTask.FromException(e);
        }

        Finish(pending, begun is { } first ? BothAsync(first, write) : write);
        return true;
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private static async ValueTask BothAsync(ValueTask first, ValueTask second)
    {
        try
        {
            await first.ConfigureAwait(false);
        }
        finally
        {
            await second.ConfigureAwait(false);
        }
    }

    private WriteFlags WriteFlagsOf(in RequestHeader request)
        => (request.Flags & CommandFlags.Fua) != 0 || _session.Export.IsWritethrough ? WriteFlags.Fua : WriteFlags.None;
}
