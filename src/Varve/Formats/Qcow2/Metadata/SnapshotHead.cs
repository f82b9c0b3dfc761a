using System.Buffers.Binary;

namespace Varve.Formats.Qcow2.Metadata;

/// <summary>The fixed part of a snapshot table entry: enough to know how long the entry is, and where its tables lie.</summary>
internal readonly record struct SnapshotHead(HostOffset L1Table, long L1Size, int IdSize, int NameSize, long ExtraSize)
{
    /// <summary>Bytes of the whole entry, padding included.</summary>
    public long Size => Align.Up(SnapshotEntry.FixedSize + ExtraSize + IdSize + NameSize, 8);

    /// <summary>Changes how much extra data an entry says it has.</summary>
    public static void SetExtraSize(Span<byte> bytes, int size) => BinaryPrimitives.WriteInt32BigEndian(bytes[36..], size);

    /// <summary>Reads the first <see cref="SnapshotEntry.FixedSize"/> bytes of an entry.</summary>
    public static SnapshotHead Read(ReadOnlySpan<byte> bytes) => new(
        new(BinaryPrimitives.ReadInt64BigEndian(bytes)),
        BinaryPrimitives.ReadUInt32BigEndian(bytes[8..]),
        BinaryPrimitives.ReadUInt16BigEndian(bytes[12..]),
        BinaryPrimitives.ReadUInt16BigEndian(bytes[14..]),
        BinaryPrimitives.ReadUInt32BigEndian(bytes[36..]));
}
