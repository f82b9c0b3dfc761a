using System.Buffers.Binary;
using System.Text;

namespace Varve.Formats.Qcow2.Metadata;

/// <summary>One bitmap of the bitmap directory: 0 u64 table offset  8 u32 table size  12 u32 flags  16 u8 type  17 u8 granularity bits
/// 18 u16 name size  20 u32 extra size  24 extra data, name, padding to 8. qcow2 specification, "Bitmap directory".</summary>
internal sealed record BitmapDirectoryEntry(string Name, HostOffset Table, uint TableSize, bool IsInUse, bool IsAuto, int GranularityBits)
{
    public const int FixedSize = 24, ExtensionSize = 24, MaxNameSize = 1023, MaxBitmaps = 65535;
    public const int MaxDirectorySize = MaxBitmaps * (FixedSize + MaxNameSize + 1);
    private const uint InUse = 1, Auto = 2, ExtraCompatible = 4, Reserved = ~7u;
    private const byte DirtyTracking = 1;

    /// <summary>Extra data, which nobody told us about: kept byte for byte.</summary>
    public byte[] Extra { get; init; } = [];

    /// <summary>Whether the bitmap may be used by who does not know its extra data.</summary>
    public bool IsExtraCompatible { get; init; }

    /// <summary>Whether we may use the bitmap: it has no extra data, or such as may be ignored.</summary>
    public bool IsUsable => Extra.Length == 0 || IsExtraCompatible;

    /// <summary>Bytes of the entry, padding included.</summary>
    public int EncodedSize => (int)Align.Up(FixedSize + Extra.Length + Encoding.UTF8.GetByteCount(Name), 8);

    /// <summary>Bytes of the directory, checked; the extension's data is 0 u32 count  4 reserved  8 u64 size  16 u64 offset.</summary>
    public static FormatError? TryReadExtension(ReadOnlySpan<byte> extension, out HostOffset directory, out int size, out int count)
    {
        (directory, size, count) = (default, 0, 0);
        if (extension.Length != ExtensionSize) return FormatError.Invalid("bitmaps_ext: Invalid extension length");
        uint bitmaps = BinaryPrimitives.ReadUInt32BigEndian(extension);
        ulong bytes = BinaryPrimitives.ReadUInt64BigEndian(extension[8..]);
        if (bitmaps == 0) return FormatError.Invalid("found bitmaps extension with zero bitmaps");
        if (bitmaps > MaxBitmaps) return FormatError.Invalid($"bitmaps_ext: image has {bitmaps} bitmaps, exceeding the maximum of {MaxBitmaps}");
        if (bytes > MaxDirectorySize)
        {
            return FormatError.Invalid($"bitmaps_ext: bitmap directory size ({bytes}) exceeds the maximum supported size ({MaxDirectorySize})");
        }

        directory = new(BinaryPrimitives.ReadInt64BigEndian(extension[16..]));
        (size, count) = ((int)bytes, (int)bitmaps);
        return directory.Value < 0 || directory.Value > long.MaxValue - size ? FormatError.Invalid("bitmaps_ext: invalid bitmap directory offset") : null;
    }

    /// <summary>The data of the extension that names a directory.</summary>
    public static byte[] WriteExtension(HostOffset directory, int size, int count)
    {
        byte[] extension = new byte[ExtensionSize];
        BinaryPrimitives.WriteInt32BigEndian(extension, count);
        BinaryPrimitives.WriteInt64BigEndian(extension.AsSpan(8), size);
        BinaryPrimitives.WriteInt64BigEndian(extension.AsSpan(16), directory.Value);
        return extension;
    }

    /// <summary>Reads a whole directory.</summary>
    public static FormatError? TryReadAll(ReadOnlySpan<byte> directory, int count, out List<BitmapDirectoryEntry> entries)
    {
        entries = [];
        for (int i = 0; i < count; i++)
        {
            if (directory.Length < FixedSize) return FormatError.Invalid("Broken bitmap directory");
            uint flags = BinaryPrimitives.ReadUInt32BigEndian(directory[12..]);
            int nameSize = BinaryPrimitives.ReadUInt16BigEndian(directory[18..]);
            uint extraSize = BinaryPrimitives.ReadUInt32BigEndian(directory[20..]);
            if (extraSize > directory.Length || FixedSize + extraSize + nameSize > directory.Length) return FormatError.Invalid("Broken bitmap directory");
            string name = Encoding.UTF8.GetString(directory.Slice(FixedSize + (int)extraSize, nameSize));
            int granularityBits = directory[17];
            if (nameSize is 0 or > MaxNameSize || (flags & Reserved) != 0 || granularityBits is < 9 or > 31 || directory[16] != DirtyTracking)
            {
                return FormatError.Invalid($"Bitmap '{name}' doesn't satisfy the constraints");
            }

            entries.Add(new BitmapDirectoryEntry(
                name,
                new(BinaryPrimitives.ReadInt64BigEndian(directory)),
                BinaryPrimitives.ReadUInt32BigEndian(directory[8..]),
                (flags & InUse) != 0,
                (flags & Auto) != 0,
                granularityBits)
            {
                Extra = directory.Slice(FixedSize, (int)extraSize).ToArray(),
                IsExtraCompatible = (flags & ExtraCompatible) != 0,
            });
            directory = directory[(int)Math.Min(Align.Up(FixedSize + extraSize + nameSize, 8), directory.Length)..];
        }

        return null;
    }

    /// <summary>Writes the entry, <see cref="EncodedSize"/> bytes; padding is zeroed.</summary>
    public void WriteTo(Span<byte> bytes)
    {
        bytes[..EncodedSize].Clear();
        BinaryPrimitives.WriteInt64BigEndian(bytes, Table.Value);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[8..], TableSize);
        uint flags = (IsInUse ? InUse : 0) | (IsAuto ? Auto : 0) | (IsExtraCompatible ? ExtraCompatible : 0);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[12..], flags);
        bytes[16] = DirtyTracking;
        bytes[17] = (byte)GranularityBits;
        BinaryPrimitives.WriteUInt16BigEndian(bytes[18..], (ushort)Encoding.UTF8.GetByteCount(Name));
        BinaryPrimitives.WriteInt32BigEndian(bytes[20..], Extra.Length);
        Extra.CopyTo(bytes[FixedSize..]);
        Encoding.UTF8.GetBytes(Name, bytes[(FixedSize + Extra.Length)..]);
    }
}
