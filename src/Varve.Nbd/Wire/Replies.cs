using System.Buffers.Binary;

namespace Varve.Nbd.Wire;

/// <summary>The simple reply; after a successful READ the data follows. 0 u32 magic  4 u32 error  8 u64 cookie</summary>
internal readonly record struct SimpleReply(NbdError Error, ulong Cookie)
{
    public const int Size = 16;
    public const uint Magic = 0x6744_6698;

    private static class At { public const int Magic = 0, Error = 4, Cookie = 8; }

    public static bool TryRead(ReadOnlySpan<byte> wire, out SimpleReply reply)
    {
        reply = new((NbdError)BinaryPrimitives.ReadUInt32BigEndian(wire[At.Error..]), BinaryPrimitives.ReadUInt64BigEndian(wire[At.Cookie..]));
        return BinaryPrimitives.ReadUInt32BigEndian(wire[At.Magic..]) == Magic;
    }

    public void WriteTo(Span<byte> wire)
    {
        BinaryPrimitives.WriteUInt32BigEndian(wire[At.Magic..], Magic);
        BinaryPrimitives.WriteUInt32BigEndian(wire[At.Error..], (uint)Error);
        BinaryPrimitives.WriteUInt64BigEndian(wire[At.Cookie..], Cookie);
    }
}

/// <summary>What stands before each chunk of a structured reply.
/// 0 u32 magic  4 u16 flags  6 u16 type  8 u64 cookie  16 u32 length of the payload</summary>
internal readonly record struct ChunkHeader(ChunkFlags Flags, ChunkType Type, ulong Cookie, uint Length)
{
    public const int Size = 20;
    public const uint Magic = 0x668E_33EF;

    private static class At { public const int Magic = 0, Flags = 4, Type = 6, Cookie = 8, Length = 16; }

    public static bool TryRead(ReadOnlySpan<byte> wire, out ChunkHeader header)
    {
        header = new(
            (ChunkFlags)BinaryPrimitives.ReadUInt16BigEndian(wire[At.Flags..]),
            (ChunkType)BinaryPrimitives.ReadUInt16BigEndian(wire[At.Type..]),
            BinaryPrimitives.ReadUInt64BigEndian(wire[At.Cookie..]),
            BinaryPrimitives.ReadUInt32BigEndian(wire[At.Length..]));
        return BinaryPrimitives.ReadUInt32BigEndian(wire[At.Magic..]) == Magic;
    }

    public void WriteTo(Span<byte> wire)
    {
        wire = wire[..Size];
        BinaryPrimitives.WriteUInt32BigEndian(wire[At.Magic..], Magic);
        BinaryPrimitives.WriteUInt16BigEndian(wire[At.Flags..], (ushort)Flags);
        BinaryPrimitives.WriteUInt16BigEndian(wire[At.Type..], (ushort)Type);
        BinaryPrimitives.WriteUInt64BigEndian(wire[At.Cookie..], Cookie);
        BinaryPrimitives.WriteUInt32BigEndian(wire[At.Length..], Length);
    }
}

/// <summary>A chunk of data read, up to where the data begins. 0 chunk header  20 u64 offset  28 data</summary>
internal readonly record struct OffsetDataChunk(ChunkFlags Flags, ulong Cookie, ulong Offset, int DataLength)
{
    /// <summary>Bytes before the data.</summary>
    public const int Size = ChunkHeader.Size + 8;

    public void WriteTo(Span<byte> wire)
    {
        new ChunkHeader(Flags, ChunkType.OffsetData, Cookie, (uint)DataLength + 8).WriteTo(wire);
        BinaryPrimitives.WriteUInt64BigEndian(wire[ChunkHeader.Size..], Offset);
    }
}

/// <summary>A chunk that says a range reads as zeros. 0 chunk header  20 u64 offset  28 u32 hole size</summary>
internal readonly record struct OffsetHoleChunk(ChunkFlags Flags, ulong Cookie, ulong Offset, uint HoleSize)
{
    public const int Size = ChunkHeader.Size + 12;

    public void WriteTo(Span<byte> wire)
    {
        new ChunkHeader(Flags, ChunkType.OffsetHole, Cookie, 12).WriteTo(wire);
        BinaryPrimitives.WriteUInt64BigEndian(wire[ChunkHeader.Size..], Offset);
        BinaryPrimitives.WriteUInt32BigEndian(wire[(ChunkHeader.Size + 8)..], HoleSize);
    }
}

/// <summary>The last chunk of a reply that failed. 0 chunk header  20 u32 error  24 u16 text length  26 text</summary>
internal readonly record struct ErrorChunk(ulong Cookie, NbdError Error, int TextLength)
{
    /// <summary>Bytes before the text.</summary>
    public const int Size = ChunkHeader.Size + 6;

    public void WriteTo(Span<byte> wire)
    {
        new ChunkHeader(ChunkFlags.Done, ChunkType.Error, Cookie, (uint)TextLength + 6).WriteTo(wire);
        BinaryPrimitives.WriteUInt32BigEndian(wire[ChunkHeader.Size..], (uint)Error);
        BinaryPrimitives.WriteUInt16BigEndian(wire[(ChunkHeader.Size + 4)..], (ushort)TextLength);
    }
}

/// <summary>A chunk with the extents of one context, up to where they begin. 0 chunk header  20 u32 context id  24 extents</summary>
internal readonly record struct BlockStatusChunk(ChunkFlags Flags, ulong Cookie, uint ContextId, int ExtentCount)
{
    /// <summary>Bytes before the extents.</summary>
    public const int Size = ChunkHeader.Size + 4;

    public void WriteTo(Span<byte> wire)
    {
        new ChunkHeader(Flags, ChunkType.BlockStatus, Cookie, (uint)(ExtentCount * BlockStatusExtent.Size) + 4).WriteTo(wire);
        BinaryPrimitives.WriteUInt32BigEndian(wire[ChunkHeader.Size..], ContextId);
    }
}

/// <summary>One extent of a context. 0 u32 length in bytes  4 u32 state, whose meaning is the context's</summary>
internal readonly record struct BlockStatusExtent(uint Length, uint State)
{
    public const int Size = 8;

    public static BlockStatusExtent Read(ReadOnlySpan<byte> wire)
        => new(BinaryPrimitives.ReadUInt32BigEndian(wire), BinaryPrimitives.ReadUInt32BigEndian(wire[4..]));

    public void WriteTo(Span<byte> wire)
    {
        BinaryPrimitives.WriteUInt32BigEndian(wire, Length);
        BinaryPrimitives.WriteUInt32BigEndian(wire[4..], State);
    }
}
