using System.Buffers.Binary;
using System.Text;

namespace Varve.Tests.Hostile;

/// <summary>A small valid qcow2 image, byte by byte, for a test to spoil: clusters of 4 KiB, in this order: header, refcount table,
/// refcount block, L1 table, L2 table, data. Nothing of the library is used, so nothing of it can prevent a lie.</summary>
internal sealed class HostileQcow2
{
    public const int ClusterBits = 12, Cluster = 1 << ClusterBits;
    public const int RefcountTable = Cluster, RefcountBlock = 2 * Cluster, L1 = 3 * Cluster, L2 = 4 * Cluster, Data = 5 * Cluster;
    public const ulong Copied = 1UL << 63, Compressed = 1UL << 62;
    public const uint BackingFormat = 0xE279_2ACA, FeatureNames = 0x6803_F857, BitmapsHeader = 0x2385_2875, CryptoHeader = 0x0537_BE77, DataFile = 0x4441_5441;
    private const int HeaderLength = 104, NameAt = 2048;

    private int _extensionsEnd = HeaderLength;

    public HostileQcow2(long virtualSize = 1 << 20)
    {
        Bytes = new byte[6 * Cluster];
        "QFI\u00FB"u8[..3].CopyTo(Bytes);
        Bytes[3] = 0xFB;
        U32(4, 3).U32(20, ClusterBits).U64(24, (ulong)virtualSize);
        U32(36, 1).U64(40, L1).U64(48, RefcountTable).U32(56, 1).U32(96, 4).U32(100, HeaderLength);
        U64(RefcountTable, RefcountBlock).U64(L1, Copied | L2).U64(L2, Copied | Data);
        for (int i = 0; i < 6; i++) U16(RefcountBlock + 2 * i, 1);
        Bytes.AsSpan(Data).Fill(0x5A);
    }

    public byte[] Bytes { get; private set; }

    public HostileQcow2 U16(int at, ushort value)
    {
        BinaryPrimitives.WriteUInt16BigEndian(Bytes.AsSpan(at), value);
        return this;
    }

    public HostileQcow2 U32(int at, uint value)
    {
        BinaryPrimitives.WriteUInt32BigEndian(Bytes.AsSpan(at), value);
        return this;
    }

    public HostileQcow2 U64(int at, ulong value)
    {
        BinaryPrimitives.WriteUInt64BigEndian(Bytes.AsSpan(at), value);
        return this;
    }

    public HostileQcow2 Put(int at, ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(Bytes.AsSpan(at));
        return this;
    }

    /// <summary>Sets incompatible feature bits.</summary>
    public HostileQcow2 Incompatible(ulong bits) => U64(72, bits);

    public HostileQcow2 Autoclear(ulong bits) => U64(88, bits);

    /// <summary>Adds a header extension behind the ones that are there.</summary>
    public HostileQcow2 Extension(uint type, ReadOnlySpan<byte> data, uint? length = null)
    {
        U32(_extensionsEnd, type).U32(_extensionsEnd + 4, length ?? (uint)data.Length).Put(_extensionsEnd + 8, data);
        _extensionsEnd += 8 + (data.Length + 7) / 8 * 8;
        return this;
    }

    public HostileQcow2 Extension(uint type, string text) => Extension(type, Encoding.UTF8.GetBytes(text));

    /// <summary>Adds an extension of big-endian words of 64 bits.</summary>
    public HostileQcow2 ExtensionOfWords(uint type, params ReadOnlySpan<ulong> words)
    {
        byte[] data = new byte[words.Length * 8];
        for (int i = 0; i < words.Length; i++) BinaryPrimitives.WriteUInt64BigEndian(data.AsSpan(i * 8), words[i]);
        return Extension(type, data);
    }

    /// <summary>Records a backing file.</summary>
    public HostileQcow2 Backing(string name, string? format = "raw")
    {
        byte[] bytes = Encoding.UTF8.GetBytes(name);
        if (format is not null) Extension(BackingFormat, format);
        return U64(8, NameAt).U32(16, (uint)bytes.Length).Put(NameAt, bytes);
    }

    /// <summary>Bitmaps extension: count, then directory.</summary>
    public HostileQcow2 BitmapsExtension(uint count, ulong directorySize, ulong directory)
        => Autoclear(1).ExtensionOfWords(BitmapsHeader, (ulong)count << 32, directorySize, directory);

    /// <summary>Appends clusters of zeros; returns where they begin through <paramref name="at"/>.</summary>
    public HostileQcow2 Grow(int clusters, out int at)
    {
        at = Bytes.Length;
        byte[] grown = new byte[at + clusters * Cluster];
        Bytes.CopyTo(grown, 0);
        Bytes = grown;
        return this;
    }

    public HostileQcow2 Truncate(int length)
    {
        Bytes = Bytes[..length];
        return this;
    }
}
