using System.Buffers.Binary;

namespace Varve.Formats.Qcow2.Metadata;

/// <summary>The fixed part of a snapshot table entry; extra data, ID and name follow. qcow2 specification, "Snapshot table entry".</summary>
/// <remarks>0 u64 L1 table  8 u32 L1 size  12 u16 ID length  14 u16 name length  16 u32 date  20 u32 date, nanoseconds  24 u64 guest clock
/// 32 u32 machine state size  36 u32 extra data size</remarks>
internal readonly record struct SnapshotEntry(HostOffset L1Table, long L1Size, int IdSize, int NameSize, long ExtraSize)
{
    /// <summary>Bytes of the fixed part.</summary>
    public const int FixedSize = 40;

    /// <summary>The most extra data the reference takes.</summary>
    public const int MaxExtraSize = 1024;

    /// <summary>The most bytes of all entries together the reference takes.</summary>
    public const long MaxTableBytes = 64 << 20;

    /// <summary>Bytes of the whole entry, padding included.</summary>
    public long Size => Align.Up(FixedSize + ExtraSize + IdSize + NameSize, 8);

    public static SnapshotEntry Read(ReadOnlySpan<byte> bytes) => new(
        new(BinaryPrimitives.ReadInt64BigEndian(bytes)),
        BinaryPrimitives.ReadUInt32BigEndian(bytes[8..]),
        BinaryPrimitives.ReadUInt16BigEndian(bytes[12..]),
        BinaryPrimitives.ReadUInt16BigEndian(bytes[14..]),
        BinaryPrimitives.ReadUInt32BigEndian(bytes[36..]));
}
