using System.Buffers.Binary;

namespace Varve.Nbd.Wire;

/// <summary>A request; WRITE is followed by its data. Which of the two forms is spoken was negotiated.
/// Compact: 0 u32 magic  4 u16 flags  6 u16 type  8 u64 cookie  16 u64 offset  24 u32 length
/// Extended: 0 u32 magic  4 u16 flags  6 u16 type  8 u64 cookie  16 u64 offset  24 u64 length</summary>
/// <param name="Command">What to do.</param>
/// <param name="Flags">How.</param>
/// <param name="Cookie">The client's; returned in the reply as it is.</param>
/// <param name="Offset">Bytes. Unsigned on the wire: what has the highest bit set is out of range for every export.</param>
/// <param name="Length">Bytes.</param>
internal readonly record struct RequestHeader(CommandType Command, CommandFlags Flags, ulong Cookie, ulong Offset, ulong Length)
{
    /// <summary>Bytes of the compact form.</summary>
    public const int Size = 28;

    /// <summary>Bytes of the extended form.</summary>
    public const int ExtendedSize = 32;

    public const uint Magic = 0x2560_9513, ExtendedMagic = 0x21E4_1C71;

    private static class At { public const int Magic = 0, Flags = 4, Command = 6, Cookie = 8, Offset = 16, Length = 24; }

    public static int SizeOf(bool isExtended) => isExtended ? ExtendedSize : Size;

    /// <summary>False when the magic is wrong: the stream is out of step and cannot go on.</summary>
    public static bool TryRead(ReadOnlySpan<byte> wire, out RequestHeader request, bool isExtended = false)
    {
        wire = wire[..SizeOf(isExtended)];
        request = new(
            (CommandType)BinaryPrimitives.ReadUInt16BigEndian(wire[At.Command..]),
            (CommandFlags)BinaryPrimitives.ReadUInt16BigEndian(wire[At.Flags..]),
            BinaryPrimitives.ReadUInt64BigEndian(wire[At.Cookie..]),
            BinaryPrimitives.ReadUInt64BigEndian(wire[At.Offset..]),
            isExtended ? BinaryPrimitives.ReadUInt64BigEndian(wire[At.Length..]) : BinaryPrimitives.ReadUInt32BigEndian(wire[At.Length..]));
        return BinaryPrimitives.ReadUInt32BigEndian(wire[At.Magic..]) == (isExtended ? ExtendedMagic : Magic);
    }

    public void WriteTo(Span<byte> wire, bool isExtended = false)
    {
        BinaryPrimitives.WriteUInt32BigEndian(wire[At.Magic..], isExtended ? ExtendedMagic : Magic);
        BinaryPrimitives.WriteUInt16BigEndian(wire[At.Flags..], (ushort)Flags);
        BinaryPrimitives.WriteUInt16BigEndian(wire[At.Command..], (ushort)Command);
        BinaryPrimitives.WriteUInt64BigEndian(wire[At.Cookie..], Cookie);
        BinaryPrimitives.WriteUInt64BigEndian(wire[At.Offset..], Offset);
        if (isExtended) BinaryPrimitives.WriteUInt64BigEndian(wire[At.Length..], Length);
        else BinaryPrimitives.WriteUInt32BigEndian(wire[At.Length..], checked((uint)Length));
    }
}
