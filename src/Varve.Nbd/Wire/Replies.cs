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

/// <summary>What stands before each chunk of a structured reply. Which of the two forms is spoken was negotiated.
/// Compact: 0 u32 magic  4 u16 flags  6 u16 type  8 u64 cookie  16 u32 length of the payload
/// Extended: 0 u32 magic  4 u16 flags  6 u16 type  8 u64 cookie  16 u64 offset of the request  24 u64 length of the payload</summary>
/// <param name="Flags">Whether it is the last of its reply.</param>
/// <param name="Type">What the payload is.</param>
/// <param name="Cookie">The request's.</param>
/// <param name="Length">Bytes of the payload.</param>
/// <param name="Offset">The request's, in the extended form.</param>
internal readonly record struct ChunkHeader(ChunkFlags Flags, ChunkType Type, ulong Cookie, ulong Length, ulong Offset = 0)
{
    /// <summary>Bytes of the compact form.</summary>
    public const int Size = 20;

    /// <summary>Bytes of the extended form.</summary>
    public const int ExtendedSize = 32;

    public const uint Magic = 0x668E_33EF, ExtendedMagic = 0x6E8A_278C;

    private static class At { public const int Magic = 0, Flags = 4, Type = 6, Cookie = 8, Length = 16, Offset = 16, ExtendedLength = 24; }

    public static int SizeOf(bool isExtended) => isExtended ? ExtendedSize : Size;

    public static bool TryRead(ReadOnlySpan<byte> wire, out ChunkHeader header, bool isExtended = false)
    {
        wire = wire[..SizeOf(isExtended)];
        header = new(
            (ChunkFlags)BinaryPrimitives.ReadUInt16BigEndian(wire[At.Flags..]),
            (ChunkType)BinaryPrimitives.ReadUInt16BigEndian(wire[At.Type..]),
            BinaryPrimitives.ReadUInt64BigEndian(wire[At.Cookie..]),
            isExtended ? BinaryPrimitives.ReadUInt64BigEndian(wire[At.ExtendedLength..]) : BinaryPrimitives.ReadUInt32BigEndian(wire[At.Length..]),
            isExtended ? BinaryPrimitives.ReadUInt64BigEndian(wire[At.Offset..]) : 0);
        return BinaryPrimitives.ReadUInt32BigEndian(wire[At.Magic..]) == (isExtended ? ExtendedMagic : Magic);
    }

    public void WriteTo(Span<byte> wire, bool isExtended = false)
    {
        wire = wire[..SizeOf(isExtended)];
        BinaryPrimitives.WriteUInt32BigEndian(wire[At.Magic..], isExtended ? ExtendedMagic : Magic);
        BinaryPrimitives.WriteUInt16BigEndian(wire[At.Flags..], (ushort)Flags);
        BinaryPrimitives.WriteUInt16BigEndian(wire[At.Type..], (ushort)Type);
        BinaryPrimitives.WriteUInt64BigEndian(wire[At.Cookie..], Cookie);
        if (isExtended)
        {
            BinaryPrimitives.WriteUInt64BigEndian(wire[At.Offset..], Offset);
            BinaryPrimitives.WriteUInt64BigEndian(wire[At.ExtendedLength..], Length);
        }
        else
        {
            BinaryPrimitives.WriteUInt32BigEndian(wire[At.Length..], checked((uint)Length));
        }
    }
}

/// <summary>A chunk of data read, up to where the data begins. Chunk header, then 0 u64 offset  8 data</summary>
internal readonly record struct OffsetDataChunk(ChunkFlags Flags, ulong Cookie, ulong Offset, int DataLength)
{
    /// <summary>Bytes before the data, in the compact form.</summary>
    public const int Size = ChunkHeader.Size + 8;

    /// <summary>Bytes before the data.</summary>
    public static int SizeOf(bool isExtended) => ChunkHeader.SizeOf(isExtended) + 8;

    public void WriteTo(Span<byte> wire, bool isExtended = false)
    {
        new ChunkHeader(Flags, ChunkType.OffsetData, Cookie, (ulong)DataLength + 8, Offset).WriteTo(wire, isExtended);
        BinaryPrimitives.WriteUInt64BigEndian(wire[ChunkHeader.SizeOf(isExtended)..], Offset);
    }
}

/// <summary>A chunk that says a range reads as zeros. Chunk header, then 0 u64 offset  8 u32 hole size</summary>
internal readonly record struct OffsetHoleChunk(ChunkFlags Flags, ulong Cookie, ulong Offset, uint HoleSize)
{
    /// <summary>Bytes of the compact form.</summary>
    public const int Size = ChunkHeader.Size + 12;

    public static int SizeOf(bool isExtended) => ChunkHeader.SizeOf(isExtended) + 12;

    public void WriteTo(Span<byte> wire, bool isExtended = false)
    {
        new ChunkHeader(Flags, ChunkType.OffsetHole, Cookie, 12, Offset).WriteTo(wire, isExtended);
        wire = wire[ChunkHeader.SizeOf(isExtended)..];
        BinaryPrimitives.WriteUInt64BigEndian(wire, Offset);
        BinaryPrimitives.WriteUInt32BigEndian(wire[8..], HoleSize);
    }
}

/// <summary>The last chunk of a reply that failed. Chunk header, then 0 u32 error  4 u16 text length  6 text</summary>
internal readonly record struct ErrorChunk(ulong Cookie, NbdError Error, int TextLength, ulong RequestOffset = 0)
{
    /// <summary>Bytes before the text, in the compact form.</summary>
    public const int Size = ChunkHeader.Size + 6;

    /// <summary>Bytes before the text, in the extended form.</summary>
    public const int ExtendedSize = ChunkHeader.ExtendedSize + 6;

    public static int SizeOf(bool isExtended) => isExtended ? ExtendedSize : Size;

    public void WriteTo(Span<byte> wire, bool isExtended = false)
    {
        new ChunkHeader(ChunkFlags.Done, ChunkType.Error, Cookie, (ulong)TextLength + 6, RequestOffset).WriteTo(wire, isExtended);
        wire = wire[ChunkHeader.SizeOf(isExtended)..];
        BinaryPrimitives.WriteUInt32BigEndian(wire, (uint)Error);
        BinaryPrimitives.WriteUInt16BigEndian(wire[4..], (ushort)TextLength);
    }
}

/// <summary>A chunk with the extents of one context, up to where they begin. Chunk header, then 0 u32 context id, in the extended form
/// followed by 4 u32 number of extents; then the extents</summary>
internal readonly record struct BlockStatusChunk(ChunkFlags Flags, ulong Cookie, uint ContextId, int ExtentCount, ulong RequestOffset = 0)
{
    /// <summary>Bytes before the extents, in the compact form.</summary>
    public const int Size = ChunkHeader.Size + 4;

    /// <summary>Bytes before the extents.</summary>
    public static int SizeOf(bool isExtended) => isExtended ? ChunkHeader.ExtendedSize + 8 : Size;

    public void WriteTo(Span<byte> wire, bool isExtended = false)
    {
        int length = SizeOf(isExtended) - ChunkHeader.SizeOf(isExtended) + (ExtentCount * BlockStatusExtent.SizeOf(isExtended));
        ChunkType type = isExtended ? ChunkType.BlockStatusExtended : ChunkType.BlockStatus;
        new ChunkHeader(Flags, type, Cookie, (ulong)length, RequestOffset).WriteTo(wire, isExtended);
        wire = wire[ChunkHeader.SizeOf(isExtended)..];
        BinaryPrimitives.WriteUInt32BigEndian(wire, ContextId);
        if (isExtended) BinaryPrimitives.WriteUInt32BigEndian(wire[4..], (uint)ExtentCount);
    }
}

/// <summary>One extent of a context. 0 u32 length in bytes  4 u32 state, whose meaning is the context's; extended: both of 64 bits</summary>
internal readonly record struct BlockStatusExtent(ulong Length, ulong State)
{
    /// <summary>Bytes of the compact form.</summary>
    public const int Size = 8;

    /// <summary>Bytes of the extended form.</summary>
    public const int ExtendedSize = 16;

    public static int SizeOf(bool isExtended) => isExtended ? ExtendedSize : Size;

    public static BlockStatusExtent Read(ReadOnlySpan<byte> wire, bool isExtended = false) => isExtended
        ? new(BinaryPrimitives.ReadUInt64BigEndian(wire), BinaryPrimitives.ReadUInt64BigEndian(wire[8..]))
        : new(BinaryPrimitives.ReadUInt32BigEndian(wire), BinaryPrimitives.ReadUInt32BigEndian(wire[4..]));

    public void WriteTo(Span<byte> wire, bool isExtended = false)
    {
        if (isExtended)
        {
            BinaryPrimitives.WriteUInt64BigEndian(wire, Length);
            BinaryPrimitives.WriteUInt64BigEndian(wire[8..], State);
            return;
        }

        BinaryPrimitives.WriteUInt32BigEndian(wire, checked((uint)Length));
        BinaryPrimitives.WriteUInt32BigEndian(wire[4..], checked((uint)State));
    }
}
