using System.Buffers.Binary;

namespace Varve.Formats.Qcow2.Metadata;

/// <summary>An optional section behind the fixed header: 0 u32 type  4 u32 length  8 data, padded to 8. qcow2 specification,
/// "Header extensions".</summary>
/// <param name="Type">One of the constants here, or anything else: unknown extensions are kept byte for byte.</param>
/// <param name="Data">The data, without padding.</param>
internal readonly record struct HeaderExtension(uint Type, ReadOnlyMemory<byte> Data)
{
    public const uint End = 0x0000_0000;
    public const uint BackingFormat = 0xE279_2ACA;
    public const uint FeatureNameTable = 0x6803_F857;
    public const uint Bitmaps = 0x2385_2875;
    public const uint CryptoHeader = 0x0537_BE77;
    public const uint DataFileName = 0x4441_5441;     // "DATA"

    /// <summary>Bytes of type and length, in front of the data.</summary>
    public const int PrefixSize = 8;

    /// <summary>Bytes the extension takes in the header cluster: prefix, data, padding.</summary>
    public int EncodedSize => PrefixSize + (int)Align.Up(Data.Length, 8);

    /// <summary>Reads the extensions of a header cluster, up to the end marker or <paramref name="end"/>, whichever comes first.</summary>
    /// <param name="cluster">The header cluster.</param>
    /// <param name="start">Where the fixed header ends.</param>
    /// <param name="end">Where the backing file name begins, or the end of the cluster.</param>
    /// <param name="extensions">What was read, in the order on disk, when null is returned.</param>
    /// <param name="areaEnd">The byte behind the end marker, or behind the last extension when there is no marker.</param>
    /// <returns>Null, or why the area cannot be read.</returns>
    public static FormatError? TryReadAll(
        ReadOnlyMemory<byte> cluster, int start, int end, out List<HeaderExtension> extensions, out int areaEnd)
    {
        extensions = [];
        int offset = start;
        while (offset < end && offset + PrefixSize <= cluster.Length)
        {
            uint type = BinaryPrimitives.ReadUInt32BigEndian(cluster.Span[offset..]);
            uint length = BinaryPrimitives.ReadUInt32BigEndian(cluster.Span[(offset + 4)..]);
            offset += PrefixSize;
            if (type == End) break;
            if (offset > end || length > (uint)(end - offset)) return TooLarge(out areaEnd);
            extensions.Add(new HeaderExtension(type, cluster.Slice(offset, (int)length)));
            offset = (int)Math.Min(Align.Up(offset + (int)length, 8), end);
        }

        areaEnd = Math.Max(Math.Min(offset, end), start);
        return null;
    }

    /// <summary>Writes prefix and data; padding bytes are zeroed.</summary>
    /// <returns>Bytes written: <see cref="EncodedSize"/>.</returns>
    public int WriteTo(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt32BigEndian(destination, Type);
        BinaryPrimitives.WriteInt32BigEndian(destination[4..], Data.Length);
        Data.Span.CopyTo(destination[PrefixSize..]);
        destination[(PrefixSize + Data.Length)..EncodedSize].Clear();
        return EncodedSize;
    }

    private static FormatError TooLarge(out int areaEnd)
    {
        areaEnd = 0;
        return FormatError.Invalid("Header extension too large");
    }
}
