using System.Buffers.Binary;
using System.Text;

namespace Varve.Formats.Qcow2.Metadata;

/// <summary>One bitmap of the bitmap directory: 0 u64 table offset  8 u32 table size  12 u32 flags  16 u8 type  17 u8 granularity bits
/// 18 u16 name size  20 u32 extra size  24 extra data, name, padding to 8. qcow2 specification, "Bitmap directory".</summary>
internal sealed record BitmapDirectoryEntry(string Name, HostOffset Table, uint TableSize, bool IsInUse, bool IsAuto, int GranularityBits)
{
    public const int FixedSize = 24;
    private const int MaxNameSize = 1023, MaxBitmaps = 65535, MaxDirectorySize = MaxBitmaps * (FixedSize + MaxNameSize + 1);
    private const uint InUse = 1, Auto = 2, Reserved = ~7u;

    /// <summary>Bytes of the directory, checked; the extension's data is 0 u32 count  4 reserved  8 u64 size  16 u64 offset.</summary>
    public static FormatError? TryReadExtension(ReadOnlySpan<byte> extension, out HostOffset directory, out int size, out int count)
    {
        (directory, size, count) = (default, 0, 0);
        if (extension.Length != 24) return FormatError.Invalid("bitmaps_ext: Invalid extension length");
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
        return directory.Value < 0 ? FormatError.Invalid("bitmaps_ext: invalid bitmap directory offset") : null;
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
            if (nameSize is 0 or > MaxNameSize || (flags & Reserved) != 0 || granularityBits is < 9 or > 31)
            {
                return FormatError.Invalid($"Bitmap '{name}' doesn't satisfy the constraints");
            }

            entries.Add(new BitmapDirectoryEntry(
                name,
                new(BinaryPrimitives.ReadInt64BigEndian(directory)),
                BinaryPrimitives.ReadUInt32BigEndian(directory[8..]),
                (flags & InUse) != 0,
                (flags & Auto) != 0,
                granularityBits));
            directory = directory[(int)Math.Min(Align.Up(FixedSize + extraSize + nameSize, 8), directory.Length)..];
        }

        return null;
    }
}
