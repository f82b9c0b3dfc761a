using System.Buffers.Binary;
using System.Text;
using Varve.Graph;

namespace Varve.Formats.Qcow2.Metadata;

/// <summary>An entry of the snapshot table. qcow2 specification, "Snapshot table entry".</summary>
/// <remarks>
/// 0 u64 L1 table  8 u32 L1 size  12 u16 ID length  14 u16 name length  16 u32 date  20 u32 date, nanoseconds  24 u64 guest clock
/// 32 u32 machine state size  36 u32 extra data size; extra data: 0 u64 machine state size  8 u64 disk size  16 u64 instruction count.
/// ID, name and extra data that nobody told us about are kept byte for byte.
/// </remarks>
internal sealed record SnapshotEntry
{
    /// <summary>Bytes of the fixed part.</summary>
    public const int FixedSize = 40;

    /// <summary>The most extra data the reference takes.</summary>
    public const int MaxExtraSize = 1024;

    /// <summary>The most bytes of all entries together the reference takes.</summary>
    public const long MaxTableBytes = 64 << 20;

    /// <summary>Entries behind the end of the file, which read as zeros, that are taken for snapshots.</summary>
    // Differs from QEMU: it takes any number, and a file of a KiB claims 65,535 snapshots of nothing.
    public const int MaxBehindFile = 1024;

    /// <summary>The extra data we know: what every entry that is written has.</summary>
    public const int KnownExtraSize = 24;

    /// <summary>Extra data that tells the disk's size: what every entry of a version 3 image has at least.</summary>
    public const int ExtraWithDiskSize = 16;

    private const ulong NoInstructionCount = ulong.MaxValue;

    private static class At
    {
        public const int L1Table = 0, L1Size = 8, IdSize = 12, NameSize = 14, DateSeconds = 16, DateNanoseconds = 20, Clock = 24, VmStateSize = 32,
            ExtraSize = 36;
    }

    public required HostOffset L1Table { get; init; }

    /// <summary>Entries of the L1 table.</summary>
    public required long L1Size { get; init; }

    public required byte[] Id { get; init; }

    public required byte[] Name { get; init; }

    public string IdText => TextOf(Id);

    public string NameText => TextOf(Name);

    /// <summary>Seconds since 1970.</summary>
    public uint DateSeconds { get; init; }

    public uint DateNanoseconds { get; init; }

    /// <summary>The guest's clock in nanoseconds.</summary>
    public ulong VmClock { get; init; }

    public ulong VmStateSize { get; init; }

    /// <summary>Bytes of the disk; null where the entry does not say: the disk's size has not changed since.</summary>
    public ulong? DiskSize { get; init; }

    public ulong? InstructionCount { get; init; }

    /// <summary>Extra data behind what we know.</summary>
    public byte[] UnknownExtra { get; init; } = [];

    /// <summary>Bytes of extra data on the disk, where the entry was read from.</summary>
    public long StoredExtraSize { get; init; } = KnownExtraSize;

    /// <summary>Bytes of the entry where it was read, padding left out.</summary>
    public long StoredSize => FixedSize + StoredExtraSize + Id.Length + Name.Length;

    /// <summary>Bytes of the entry when it is written, padding included.</summary>
    public int EncodedSize => (int)Align.Up(FixedSize + KnownExtraSize + UnknownExtra.Length + Id.Length + Name.Length, 8);

    /// <summary>Reads an entry whose size is known to be acceptable.</summary>
    /// <param name="bytes">The fixed part, extra data, ID and name.</param>
    public static SnapshotEntry Read(ReadOnlySpan<byte> bytes)
    {
        SnapshotHead head = SnapshotHead.Read(bytes);
        int extraSize = (int)head.ExtraSize;
        ReadOnlySpan<byte> extra = bytes.Slice(FixedSize, extraSize), names = bytes[(FixedSize + extraSize)..];
        ulong count = extraSize >= KnownExtraSize ? BinaryPrimitives.ReadUInt64BigEndian(extra[ExtraWithDiskSize..]) : NoInstructionCount;
        return new SnapshotEntry
        {
            L1Table = head.L1Table,
            L1Size = head.L1Size,
            Id = names[..head.IdSize].ToArray(),
            Name = names.Slice(head.IdSize, head.NameSize).ToArray(),
            DateSeconds = BinaryPrimitives.ReadUInt32BigEndian(bytes[At.DateSeconds..]),
            DateNanoseconds = BinaryPrimitives.ReadUInt32BigEndian(bytes[At.DateNanoseconds..]),
            VmClock = BinaryPrimitives.ReadUInt64BigEndian(bytes[At.Clock..]),
            VmStateSize = extraSize >= 8
                ? BinaryPrimitives.ReadUInt64BigEndian(extra)
                : BinaryPrimitives.ReadUInt32BigEndian(bytes[At.VmStateSize..]),
            DiskSize = extraSize >= ExtraWithDiskSize ? BinaryPrimitives.ReadUInt64BigEndian(extra[8..]) : null,
            InstructionCount = count == NoInstructionCount ? null : count,
            UnknownExtra = extraSize > KnownExtraSize ? extra[KnownExtraSize..].ToArray() : [],
            StoredExtraSize = extraSize,
        };
    }

    /// <summary>Writes the entry, <see cref="EncodedSize"/> bytes; padding is zeroed.</summary>
    /// <param name="bytes">Where it is written.</param>
    /// <param name="diskSize">What an entry that does not say it means.</param>
    public void WriteTo(Span<byte> bytes, long diskSize)
    {
        bytes[..EncodedSize].Clear();
        BinaryPrimitives.WriteInt64BigEndian(bytes[At.L1Table..], L1Table.Value);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[At.L1Size..], (uint)L1Size);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[At.IdSize..], (ushort)Id.Length);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[At.NameSize..], (ushort)Name.Length);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[At.DateSeconds..], DateSeconds);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[At.DateNanoseconds..], DateNanoseconds);
        BinaryPrimitives.WriteUInt64BigEndian(bytes[At.Clock..], VmClock);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[At.VmStateSize..], VmStateSize > uint.MaxValue ? 0 : (uint)VmStateSize);
        BinaryPrimitives.WriteInt32BigEndian(bytes[At.ExtraSize..], KnownExtraSize + UnknownExtra.Length);
        Span<byte> extra = bytes[FixedSize..];
        BinaryPrimitives.WriteUInt64BigEndian(extra, VmStateSize);
        BinaryPrimitives.WriteUInt64BigEndian(extra[8..], DiskSize ?? (ulong)diskSize);
        BinaryPrimitives.WriteUInt64BigEndian(extra[ExtraWithDiskSize..], InstructionCount ?? NoInstructionCount);
        UnknownExtra.CopyTo(extra[KnownExtraSize..]);
        Span<byte> names = extra[(KnownExtraSize + UnknownExtra.Length)..];
        Id.CopyTo(names);
        Name.CopyTo(names[Id.Length..]);
    }

    /// <summary>As the graph knows snapshots.</summary>
    /// <param name="diskSize">What an entry that does not say it means.</param>
    public InternalSnapshot ToSnapshot(long diskSize) => new()
    {
        Id = IdText,
        Name = NameText,
        VmStateSize = (long)Math.Min(VmStateSize, long.MaxValue),
        DateSeconds = DateSeconds,
        DateNanoseconds = (int)Math.Min(DateNanoseconds, int.MaxValue),
        VmClockNanoseconds = (long)Math.Min(VmClock, long.MaxValue),
        InstructionCount = (long?)InstructionCount,
        DiskSize = DiskSize is { } size ? (long)Math.Min(size, long.MaxValue) : diskSize,
    };

    // Differs from the specification, as the reference does: the text ends at the first NUL.
    private static string TextOf(ReadOnlySpan<byte> bytes)
        => Encoding.UTF8.GetString(bytes.IndexOf((byte)0) is var end and >= 0 ? bytes[..end] : bytes);
}
