using System.Text;

namespace Varve.Formats.Qcow2.Metadata;

/// <summary>The feature name table: entries of 48 bytes, 0 u8 bitmap  1 u8 bit  2 name. qcow2 specification, "Feature name table".</summary>
internal static class FeatureNameTable
{
    /// <summary>Bytes of an entry.</summary>
    public const int EntrySize = 48;

    private const int NameOffset = 2;

    /// <summary>Clusters of at most this many bytes go without the table, so that a backing file name fits.</summary>
    private const int LargestClusterWithout = 4096;

    private static readonly (byte Bitmap, byte Bit, string Name)[] s_known =
    [
        (0, 0, "dirty bit"),
        (0, 1, "corrupt bit"),
        (0, 2, "external data file"),
        (0, 3, "compression type"),
        (0, 4, "extended L2 entries"),
        (1, 0, "lazy refcounts"),
        (2, 0, "bitmaps"),
        (2, 1, "raw external data"),
    ];

    /// <summary>The extension that names every feature we know, as new images get it; null where clusters are too small for it.</summary>
    public static HeaderExtension? ForNewImage(int version, int clusterSize)
        => version < 3 || clusterSize <= LargestClusterWithout ? null : new(HeaderExtension.FeatureNameTable, Build());

    /// <summary>The name an image gives to a feature bit, for errors about features we do not know.</summary>
    /// <param name="table">The extension's data.</param>
    /// <param name="bitmap">0 incompatible, 1 compatible, 2 autoclear.</param>
    /// <param name="bit">0 to 63.</param>
    /// <returns>The name, or null when the table has none for the bit.</returns>
    public static string? Find(ReadOnlySpan<byte> table, int bitmap, int bit)
    {
        for (; table.Length >= EntrySize; table = table[EntrySize..])
        {
            if (table[0] != bitmap || table[1] != bit) continue;
            ReadOnlySpan<byte> name = table[NameOffset..EntrySize];
            int end = name.IndexOf((byte)0);
            return Encoding.UTF8.GetString(end < 0 ? name : name[..end]);
        }

        return null;
    }

    /// <summary>The name of a feature bit of the specification; null when we do not know it.</summary>
    /// <param name="bitmap">0 incompatible, 1 compatible, 2 autoclear.</param>
    /// <param name="bit">0 to 63.</param>
    public static string? NameOf(int bitmap, int bit)
    {
        foreach ((byte knownBitmap, byte knownBit, string name) in s_known)
        {
            if (knownBitmap == bitmap && knownBit == bit) return name;
        }

        return null;
    }

    private static byte[] Build()
    {
        byte[] table = new byte[s_known.Length * EntrySize];
        for (int i = 0; i < s_known.Length; i++)
        {
            (byte bitmap, byte bit, string name) = s_known[i];
            Span<byte> entry = table.AsSpan(i * EntrySize, EntrySize);
            entry[0] = bitmap;
            entry[1] = bit;
            Encoding.ASCII.GetBytes(name, entry[NameOffset..]);
        }

        return table;
    }
}
