using System.Buffers.Binary;

namespace Varve.Nbd.Wire;

/// <summary>The server's first message. 0 u64 "NBDMAGIC"  8 u64 "IHAVEOPT"  16 u16 handshake flags</summary>
internal readonly record struct Greeting(HandshakeFlags Flags)
{
    public const int Size = 18;
    public const ulong ServerMagic = 0x4E42_444D_4147_4943;   // "NBDMAGIC"
    public const ulong OptionMagic = 0x4948_4156_454F_5054;   // "IHAVEOPT"

    private static class At { public const int ServerMagic = 0, OptionMagic = 8, Flags = 16; }

    public static bool TryRead(ReadOnlySpan<byte> wire, out Greeting greeting)
    {
        greeting = new((HandshakeFlags)BinaryPrimitives.ReadUInt16BigEndian(wire[At.Flags..]));
        return BinaryPrimitives.ReadUInt64BigEndian(wire[At.ServerMagic..]) == ServerMagic
            && BinaryPrimitives.ReadUInt64BigEndian(wire[At.OptionMagic..]) == OptionMagic;
    }

    public void WriteTo(Span<byte> wire)
    {
        BinaryPrimitives.WriteUInt64BigEndian(wire[At.ServerMagic..], ServerMagic);
        BinaryPrimitives.WriteUInt64BigEndian(wire[At.OptionMagic..], OptionMagic);
        BinaryPrimitives.WriteUInt16BigEndian(wire[At.Flags..], (ushort)Flags);
    }
}
