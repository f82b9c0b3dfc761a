using System.Buffers.Binary;

namespace Varve.Nbd.Wire;

/// <summary>The answer to EXPORT_NAME. 0 u64 size in bytes  8 u16 transmission flags  10 124 zero bytes, unless waived</summary>
internal readonly record struct ExportNameReply(long ExportSize, TransmissionFlags Flags)
{
    public const int Size = 10, Padding = 124;

    private static class At { public const int ExportSize = 0, Flags = 8; }

    public static ExportNameReply Read(ReadOnlySpan<byte> wire) => new(
        BinaryPrimitives.ReadInt64BigEndian(wire[At.ExportSize..]), (TransmissionFlags)BinaryPrimitives.ReadUInt16BigEndian(wire[At.Flags..]));

    public void WriteTo(Span<byte> wire)
    {
        BinaryPrimitives.WriteInt64BigEndian(wire[At.ExportSize..], ExportSize);
        BinaryPrimitives.WriteUInt16BigEndian(wire[At.Flags..], (ushort)Flags);
    }
}

/// <summary>INFO_EXPORT. 0 u16 type 0  2 u64 size in bytes  10 u16 transmission flags</summary>
internal readonly record struct ExportInfo(long ExportSize, TransmissionFlags Flags)
{
    public const int Size = 12;

    private static class At { public const int Type = 0, ExportSize = 2, Flags = 10; }

    public static ExportInfo Read(ReadOnlySpan<byte> wire) => new(
        BinaryPrimitives.ReadInt64BigEndian(wire[At.ExportSize..]), (TransmissionFlags)BinaryPrimitives.ReadUInt16BigEndian(wire[At.Flags..]));

    public void WriteTo(Span<byte> wire)
    {
        BinaryPrimitives.WriteUInt16BigEndian(wire[At.Type..], (ushort)InfoType.Export);
        BinaryPrimitives.WriteInt64BigEndian(wire[At.ExportSize..], ExportSize);
        BinaryPrimitives.WriteUInt16BigEndian(wire[At.Flags..], (ushort)Flags);
    }
}

/// <summary>INFO_BLOCK_SIZE. 0 u16 type 3  2 u32 minimum  6 u32 preferred  10 u32 maximum: bytes</summary>
internal readonly record struct BlockSizeInfo(uint Minimum, uint Preferred, uint Maximum)
{
    public const int Size = 14;

    private static class At { public const int Type = 0, Minimum = 2, Preferred = 6, Maximum = 10; }

    public static BlockSizeInfo Read(ReadOnlySpan<byte> wire) => new(
        BinaryPrimitives.ReadUInt32BigEndian(wire[At.Minimum..]), BinaryPrimitives.ReadUInt32BigEndian(wire[At.Preferred..]),
        BinaryPrimitives.ReadUInt32BigEndian(wire[At.Maximum..]));

    public void WriteTo(Span<byte> wire)
    {
        BinaryPrimitives.WriteUInt16BigEndian(wire[At.Type..], (ushort)InfoType.BlockSize);
        BinaryPrimitives.WriteUInt32BigEndian(wire[At.Minimum..], Minimum);
        BinaryPrimitives.WriteUInt32BigEndian(wire[At.Preferred..], Preferred);
        BinaryPrimitives.WriteUInt32BigEndian(wire[At.Maximum..], Maximum);
    }
}
