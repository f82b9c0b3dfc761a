using System.Buffers.Binary;

namespace Varve.Nbd.Wire;

/// <summary>What stands before an option's data. 0 u64 "IHAVEOPT"  8 u32 option  12 u32 length of the data</summary>
internal readonly record struct OptionHeader(OptionType Option, uint Length)
{
    public const int Size = 16;

    private static class At { public const int Magic = 0, Option = 8, Length = 12; }

    /// <summary>False when the magic is wrong: the stream is out of step and cannot go on.</summary>
    public static bool TryRead(ReadOnlySpan<byte> wire, out OptionHeader header)
    {
        header = new(
            (OptionType)BinaryPrimitives.ReadUInt32BigEndian(wire[At.Option..]), BinaryPrimitives.ReadUInt32BigEndian(wire[At.Length..]));
        return BinaryPrimitives.ReadUInt64BigEndian(wire[At.Magic..]) == Greeting.OptionMagic;
    }

    public void WriteTo(Span<byte> wire)
    {
        BinaryPrimitives.WriteUInt64BigEndian(wire[At.Magic..], Greeting.OptionMagic);
        BinaryPrimitives.WriteUInt32BigEndian(wire[At.Option..], (uint)Option);
        BinaryPrimitives.WriteUInt32BigEndian(wire[At.Length..], Length);
    }
}

/// <summary>What stands before an option reply's data. 0 u64 magic  8 u32 option  12 u32 reply type  16 u32 length of the data</summary>
internal readonly record struct OptionReplyHeader(OptionType Option, OptionReplyType Type, uint Length)
{
    public const int Size = 20;
    public const ulong Magic = 0x0003_E889_0455_65A9;

    private static class At { public const int Magic = 0, Option = 8, Type = 12, Length = 16; }

    public static bool TryRead(ReadOnlySpan<byte> wire, out OptionReplyHeader header)
    {
        header = new(
            (OptionType)BinaryPrimitives.ReadUInt32BigEndian(wire[At.Option..]),
            (OptionReplyType)BinaryPrimitives.ReadUInt32BigEndian(wire[At.Type..]),
            BinaryPrimitives.ReadUInt32BigEndian(wire[At.Length..]));
        return BinaryPrimitives.ReadUInt64BigEndian(wire[At.Magic..]) == Magic;
    }

    public void WriteTo(Span<byte> wire)
    {
        BinaryPrimitives.WriteUInt64BigEndian(wire[At.Magic..], Magic);
        BinaryPrimitives.WriteUInt32BigEndian(wire[At.Option..], (uint)Option);
        BinaryPrimitives.WriteUInt32BigEndian(wire[At.Type..], (uint)Type);
        BinaryPrimitives.WriteUInt32BigEndian(wire[At.Length..], Length);
    }
}
