using System.Buffers.Binary;
using Varve.Nbd.Wire;

namespace Varve.Nbd.Client;

/// <content>What the server sends. Whatever does not belong to a request that waits for it ends the connection.</content>
internal sealed partial class NbdClientConnection
{
    /// <summary>Bytes of the longest error text: "SHOULD NOT be longer than 4096".</summary>
    private const int MaxErrorText = 4096;

    /// <summary>Bytes of a block status reply that are looked at: one extent was asked for.</summary>
    private const int MaxStatusPayload = 64 << 10;

    private void ReceiveReplies()
    {
        bool isChunked = Export.Form != HeaderForm.Simple;
        while (_input.Fill(sizeof(uint)))
        {
            uint magic = BinaryPrimitives.ReadUInt32BigEndian(_input.Peek());
            if (magic == SimpleReply.Magic && !_isExtended) ReceiveSimple(isChunked);
            else if (isChunked && magic == (_isExtended ? ChunkHeader.ExtendedMagic : ChunkHeader.Magic)) ReceiveChunk();
            else throw Protocol($"reply magic 0x{magic:x8}");
        }
    }

    private void ReceiveSimple(bool isChunked)
    {
        SimpleReply.TryRead(Take(SimpleReply.Size), out SimpleReply reply);
        ClientRequest request = Find(reply.Cookie);
        if (isChunked && reply.Error == NbdError.None && request.Header.Command is CommandType.Read or CommandType.BlockStatus)
        {
            throw Protocol("a simple reply where chunks were expected");
        }

        request.Error = reply.Error;
        if (request.Header.Command == CommandType.Read && reply.Error == NbdError.None && !_input.TryRead(request.Target.Span)) throw Broken();
        Finish(reply.Cookie, request);
    }

    private void ReceiveChunk()
    {
        ChunkHeader.TryRead(Take(ChunkHeader.SizeOf(_isExtended)), out ChunkHeader chunk, _isExtended);
        ClientRequest request = Find(chunk.Cookie);
        bool isLast = (chunk.Flags & ChunkFlags.Done) != 0;
        switch (chunk.Type)
        {
            case ChunkType.None:
                if (chunk.Length != 0 || !isLast) throw Protocol($"an empty chunk of {chunk.Length} bytes");
                break;
            case ChunkType.OffsetData:
                ReceiveData(request, chunk.Length);
                break;
            case ChunkType.OffsetHole:
                ReceiveHole(request, chunk.Length);
                break;
            case ChunkType.BlockStatus when !_isExtended:
            case ChunkType.BlockStatusExtended when _isExtended:
                ReceiveStatus(request, chunk.Length);
                break;
            case var type when ((ushort)type & 0x8000) != 0:
                ReceiveError(request, chunk.Length);
                break;
            default:
                throw Protocol($"chunk type {(ushort)chunk.Type}");
        }

        if (!isLast) return;
        if (request.Error == NbdError.None)
        {
            if (request.Header.Command == CommandType.Read && request.Received != request.Target.Length)
            {
                throw Protocol($"{request.Received} bytes where {request.Target.Length} were asked for");
            }

            if (request.Header.Command == CommandType.BlockStatus && request.Extent is null) throw Protocol("block status without an extent");
        }

        Finish(chunk.Cookie, request);
    }

    private void ReceiveData(ClientRequest request, ulong length)
    {
        if (length is <= 8 or > int.MaxValue) throw Protocol($"a data chunk of {length} bytes");
        Span<byte> target = Part(request, BinaryPrimitives.ReadUInt64BigEndian(Take(8)), length - 8);
        if (!_input.TryRead(target)) throw Broken();
    }

    private void ReceiveHole(ClientRequest request, ulong length)
    {
        if (length != 12) throw Protocol($"a hole chunk of {length} bytes");
        ReadOnlySpan<byte> hole = Take(12);
        Part(request, BinaryPrimitives.ReadUInt64BigEndian(hole), BinaryPrimitives.ReadUInt32BigEndian(hole[8..])).Clear();
    }

    /// <summary>The part of a read's buffer that a chunk is about.</summary>
    private static Span<byte> Part(ClientRequest request, ulong offset, ulong length)
    {
        if (request.Header.Command != CommandType.Read) throw Protocol("data that nobody asked for");
        ulong start = offset - request.Header.Offset, size = (ulong)request.Target.Length;
        if (offset < request.Header.Offset || start > size || length > size - start || length == 0)
        {
            throw Protocol($"a chunk of {length} bytes at {offset} outside of the range asked for");
        }

        // With chunks that overlap, some part gets none: what lay in the buffer before must not pass for the disk's content.
        Span<byte> target = request.Target.Span;
        if (request.Received == 0 && length < size) target.Clear();
        request.Received += (long)length;
        if (request.Received > target.Length) throw Protocol("more data than was asked for");
        return target.Slice((int)start, (int)length);
    }

    private void ReceiveStatus(ClientRequest request, ulong length)
    {
        int header = _isExtended ? 8 : 4, size = BlockStatusExtent.SizeOf(_isExtended);
        if (request.Header.Command != CommandType.BlockStatus || request.Extent is not null) throw Protocol("block status that nobody asked for");
        if (length < (ulong)(header + size) || (length - (ulong)header) % (ulong)size != 0 || length > MaxStatusPayload)
        {
            throw Protocol($"a block status chunk of {length} bytes");
        }

        ReadOnlySpan<byte> payload = Take((int)length);
        uint context = BinaryPrimitives.ReadUInt32BigEndian(payload);
        if (context != Export.StatusContextId) throw Protocol($"block status of context {context}, which was not selected");
        if (_isExtended && BinaryPrimitives.ReadUInt32BigEndian(payload[4..]) != (length - 8) / (ulong)size) throw Protocol("a wrong number of extents");
        BlockStatusExtent extent = BlockStatusExtent.Read(payload[header..], _isExtended);
        request.Extent = extent.Length > 0 ? (extent.Length, extent.State) : throw Protocol("an extent of no length");
    }

    private void ReceiveError(ClientRequest request, ulong length)
    {
        if (length is < 6 or > 6 + MaxErrorText + 8) throw Protocol($"an error chunk of {length} bytes");
        ReadOnlySpan<byte> payload = Take((int)length);
        var error = (NbdError)BinaryPrimitives.ReadUInt32BigEndian(payload);
        if (BinaryPrimitives.ReadUInt16BigEndian(payload[4..]) > payload.Length - 6) throw Protocol("an error text longer than its chunk");
        if (error == NbdError.None) throw Protocol("an error chunk without an error");
        if (request.Error == NbdError.None) request.Error = error;
    }

    // ---- Requests that wait

    private ClientRequest Find(ulong cookie)
    {
        int slot = (int)(cookie & 0xFF);
        lock (_slotLock)
        {
            if (slot < MaxInFlight && _slots[slot] is { } request && _cookies[slot] == cookie) return request;
        }

        throw Protocol($"an answer to request 0x{cookie:x}, which waits for none");
    }

    private void Finish(ulong cookie, ClientRequest request)
    {
        lock (_slotLock)
        {
            _slots[(int)(cookie & 0xFF)] = null;
            _inFlight--;
        }

        request.OnAnswered(isLost: false);
    }

    private ReadOnlySpan<byte> Take(int length) => _input.Fill(length) ? _input.Take(length).Span : throw Broken();

    private static BlockException Protocol(string what) => new(BlockErrorKind.Io, $"Protocol error: the server sent {what}");

    private static IOException Broken() => new("The server ended the connection in the middle of a reply");
}
