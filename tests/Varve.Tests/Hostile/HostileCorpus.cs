using System.Buffers.Binary;
using System.Text;
using static Varve.InspectionVerdict;
using static Varve.Tests.Hostile.HostileQcow2;

namespace Varve.Tests.Hostile;

/// <summary>Images after the published failures of this field. Each is built here, byte by byte.</summary>
public static class HostileCorpus
{
    private const string Denied = "which may not be opened";

    /// <summary>All of them.</summary>
    public static IReadOnlyList<HostileImage> All { get; } = [.. References(), .. Headers(), .. Tables(), .. Lists(), .. Clusters(), .. Luks(), .. Others()];

    private static HostileImage Qcow2(string name, HostileQcow2 image, InspectionVerdict verdict, string code, string? error)
        => new(name, image.Bytes, verdict, code, error);

    // ---- What it refers to

    private static IEnumerable<HostileImage> References()
    {
        yield return Qcow2("a data file that is a file of the host (CVE-2024-32498)",
            new HostileQcow2().Incompatible(4).Extension(DataFile, "/etc/passwd"), RefersToFiles, "data-file", Denied);
        yield return Qcow2("a data file that is a json: graph (CVE-2024-4467)",
            new HostileQcow2().Incompatible(4).Extension(DataFile, """json:{"driver":"raw","file":{"driver":"file","filename":"/etc/passwd"}}"""),
            Suspicious, "data-file-json", Denied);
        yield return Qcow2("a data file that is not named", new HostileQcow2().Incompatible(4), RefersToFiles, "data-file", "'data-file' is required for this image");
        yield return Qcow2("a data file's name without the feature", new HostileQcow2().Extension(DataFile, "/etc/passwd"), Suspicious, "data-file-unused", null);
        yield return Qcow2("a backing file of the host (CVE-2015-5160 and its kind)",
            new HostileQcow2().Backing("/etc/passwd"), RefersToFiles, "backing-elsewhere", Denied);
        yield return Qcow2("a backing file of the parent directory", new HostileQcow2().Backing("../../secret"), RefersToFiles, "backing-elsewhere", Denied);
        yield return Qcow2("a json: backing name with a nested graph of quorum and NBD", new HostileQcow2().Backing(
            """json:{"driver":"quorum","rewrite-corrupted":true,"vote-threshold":1,"children":[{"driver":"nbd","server":{"type":"inet","host":"198.51.100.1","port":"1"}},{"driver":"file","filename":"/etc/passwd"}]}"""),
            Suspicious, "backing-json", Denied);
        yield return Qcow2("a json: backing name nested a thousand deep",
            new HostileQcow2().Backing("json:" + string.Concat(Enumerable.Repeat("[", 1000))), Suspicious, "backing-json", Denied);
        yield return Qcow2("an NBD server as backing file", new HostileQcow2().Backing("nbd:198.51.100.1:10809"), Suspicious, "backing-protocol", Denied);
        yield return Qcow2("a URL as backing file", new HostileQcow2().Backing("http://169.254.169.254/latest/meta-data"), Suspicious, "backing-protocol", Denied);
        yield return Qcow2("a filter as backing file", new HostileQcow2().Backing("blkdebug:/etc/passwd:x"), Suspicious, "backing-protocol", Denied);
        yield return Qcow2("a protocol as backing format", new HostileQcow2().Backing("base", "file"), Suspicious, "backing-format", Denied);
        yield return Qcow2("a backing file whose format is to be guessed", new HostileQcow2().Backing("base", null), RefersToFiles, "backing-format", Denied);
        yield return Qcow2("a backing name with a NUL", new HostileQcow2().Backing("base\0/etc/passwd"), Suspicious, "backing-control-characters", Denied);
        yield return Qcow2("a backing name that steers a terminal", new HostileQcow2().Backing("\u001b]0;owned\u0007"), Suspicious, "backing-control-characters", Denied);
        yield return Qcow2("itself as backing file", new HostileQcow2().Backing(OwnName, "qcow2"), Suspicious, "backing-loop", Denied);
    }

    /// <summary>What the tests call each image's file.</summary>
    internal const string OwnName = "image";

    // ---- The header

    private static IEnumerable<HostileImage> Headers()
    {
        yield return Qcow2("a backing name outside the header cluster", new HostileQcow2().Backing("x").U64(8, 1UL << 40), Refused, "header", "Invalid backing file offset");
        yield return Qcow2("a backing name that leaves the header cluster", new HostileQcow2().Backing("x").U64(8, Cluster - 4).U32(16, 100), Refused, "header-cluster", "Backing file name too long");
        yield return Qcow2("a backing name longer than any", new HostileQcow2().Backing("x").U32(16, uint.MaxValue), Refused, "header-cluster", "Backing file name too long");
        yield return Qcow2("a backing name inside the fixed header", new HostileQcow2().Backing("x").U64(8, 4), Suspicious, "backing-name-in-header", Denied);
        yield return Qcow2("a header of no length", new HostileQcow2().U32(100, 0), Refused, "header", "qcow2 header too short");
        yield return Qcow2("a header longer than its cluster", new HostileQcow2().U32(100, uint.MaxValue), Refused, "header", "qcow2 header exceeds cluster size");
        yield return Qcow2("a header of odd length", new HostileQcow2().U32(100, 109), Suspicious, "header-length", null);
        yield return Qcow2("an extension longer than the cluster", new HostileQcow2().Extension(0x1234, [], length: uint.MaxValue), Refused, "header-cluster", "Header extension too large");
        yield return Qcow2("an extension that runs into the backing name", new HostileQcow2().Extension(0x1234, [], length: 2000).Backing("x", null), Refused, "header-cluster", "Header extension too large");
        yield return Qcow2("an extension whose length lies in the backing name", new HostileQcow2().Extension(0x1234, [], length: 0x7FFF_FFFF).Backing("x", null).U64(8, 108), Refused, "header-cluster", "Header extension too large");
        yield return Qcow2("two backing formats", new HostileQcow2().Extension(BackingFormat, "raw").Backing("x", "qcow2"), Suspicious, "extension-twice", Denied);
        yield return Qcow2("clusters of one byte", new HostileQcow2().U32(20, 0), Refused, "header", "Unsupported cluster size: 2^0");
        yield return Qcow2("clusters of 2^63 bytes", new HostileQcow2().U32(20, 63), Refused, "header", "Unsupported cluster size: 2^63");
        yield return Qcow2("clusters of 4 MiB", new HostileQcow2().U32(20, 22), Refused, "header", "Unsupported cluster size: 2^22");
        yield return Qcow2("clusters of 2^(2^32-1) bytes", new HostileQcow2().U32(20, uint.MaxValue), Refused, "header", "Unsupported cluster size");
        yield return Qcow2("a disk of negative size", new HostileQcow2().U64(24, 1UL << 63), Refused, "limits", "Image is too big");
        yield return Qcow2("a disk larger than its L1 table can map", new HostileQcow2().U64(24, 1UL << 50), Refused, "limits", "L1 table is too small");
        yield return Qcow2("refcounts of 128 bits", new HostileQcow2().U32(96, 7), Refused, "header", "Reference count entry width too large");
        yield return Qcow2("refcounts of 2^(2^32-1) bits", new HostileQcow2().U32(96, uint.MaxValue), Refused, "header", "Reference count entry width too large");
        yield return Qcow2("an unknown incompatible feature", new HostileQcow2().Incompatible(1UL << 63), Refused, "unknown-feature", "Unsupported qcow2 feature(s): Unknown incompatible feature: 8000000000000000");
        yield return Qcow2("an unknown incompatible feature whose name steers a terminal",
            new HostileQcow2().Incompatible(1UL << 40).Extension(FeatureNames, [0, 40, .. "\u001b[2J"u8, .. new byte[42]]), Refused, "unknown-feature", "Unsupported qcow2 feature(s)");
        yield return Qcow2("version 0", new HostileQcow2().U32(4, 0), Refused, "header", "Unsupported qcow2 version 0");
        yield return Qcow2("version 4", new HostileQcow2().U32(4, 4), Refused, "header", "Unsupported qcow2 version 4");
        yield return Qcow2("a file of eight bytes", new HostileQcow2().Truncate(8), Refused, "header", "");
        yield return Qcow2("a file that ends inside the header", new HostileQcow2().Truncate(100), Refused, "header", "");
        yield return Qcow2("a file of one sector", new HostileQcow2().Truncate(512), Suspicious, "outside-file", null);
        yield return Qcow2("an unknown compression", new HostileQcow2().Incompatible(8).U32(100, 112).Put(104, [9]), Refused, "limits", "unknown compression type: 9");
        yield return Qcow2("a compression without its feature", new HostileQcow2().U32(100, 112).Put(104, [1]), Refused, "limits", "Compression type incompatible feature bit must be set");
        yield return Qcow2("an unknown encryption", new HostileQcow2().U32(32, 3), Refused, "limits", "Unsupported encryption method 3");
        yield return Qcow2("LUKS encryption without a header", new HostileQcow2().U32(32, 2), Refused, "encryption-header", "");
        yield return Qcow2("a LUKS header outside the file", new HostileQcow2().U32(32, 2).ExtensionOfWords(CryptoHeader, 1UL << 40, 4096), Suspicious, "outside-file", "");
        yield return Qcow2("a LUKS header as large as a disk", new HostileQcow2().U32(32, 2).ExtensionOfWords(CryptoHeader, Data, 1UL << 62), Suspicious, "encryption-header-size", "");
        yield return Qcow2("a LUKS header over the L1 table", new HostileQcow2().U32(32, 2).ExtensionOfWords(CryptoHeader, L1, 4096), Refused, "luks-header", "");
        yield return Qcow2("marked corrupt", new HostileQcow2().Incompatible(2), Suspicious, "corrupt-bit", null);
    }

    // ---- L1 and refcount table

    private static IEnumerable<HostileImage> Tables()
    {
        yield return Qcow2("an L1 table of 2^32-1 entries", new HostileQcow2().U32(36, uint.MaxValue), Refused, "limits", "Active L1 table too large");
        yield return Qcow2("an L1 table of 32 MiB in a small file", new HostileQcow2().U32(36, 4 << 20), Suspicious, "outside-file", null);
        yield return Qcow2("an L1 table that is not aligned", new HostileQcow2().U64(40, L1 + 8), Refused, "limits", "Active L1 table offset invalid");
        yield return Qcow2("an L1 table outside the file", new HostileQcow2().U64(40, 1UL << 50), Suspicious, "outside-file", null);
        yield return Qcow2("an L1 table at a negative offset", new HostileQcow2().U64(40, 1UL << 63), Refused, "limits", "Active L1 table offset invalid");
        yield return Qcow2("an L1 table of no entries", new HostileQcow2().U32(36, 0), Refused, "limits", "L1 table is too small");
        yield return Qcow2("an L1 table that is the refcount table", new HostileQcow2().U64(40, RefcountTable), Suspicious, "overlap", null);
        yield return Qcow2("an L1 table that is the header", new HostileQcow2().U64(40, 0), Suspicious, "overlap", null);
        yield return Qcow2("an L1 table that is its own L2 table", new HostileQcow2().U64(L1, Copied | L1), Suspicious, "overlap", null);
        yield return Qcow2("an L2 table that is a refcount block", new HostileQcow2().U64(L1, Copied | RefcountBlock), Suspicious, "overlap", null);
        yield return Qcow2("one L2 table for the whole disk", new HostileQcow2(64 << 20).U32(36, 32).Also(i =>
        {
            for (int entry = 0; entry < 32; entry++) i.U64(L1 + entry * 8, Copied | L2);
        }), Suspicious, "overlap", null);
        yield return Qcow2("an L2 table that is not aligned", new HostileQcow2().U64(L1, Copied | (L2 + 512)), Suspicious, "unaligned", null);
        yield return Qcow2("an L2 table outside the file", new HostileQcow2().U64(L1, Copied | 0x00FF_FFFF_FFFF_F000), Suspicious, "outside-file", null);
        yield return Qcow2("reserved bits in an L1 entry", new HostileQcow2().U64(L1, Copied | L2 | 1), Suspicious, "reserved-bits", null);
        yield return Qcow2("no refcount table", new HostileQcow2().U32(56, 0), Refused, "no-refcount-table", "Image does not contain a reference count table");
        yield return Qcow2("a refcount table of 2^32-1 clusters", new HostileQcow2().U32(56, uint.MaxValue), Refused, "limits", "Reference count table too large");
        yield return Qcow2("a refcount table of 8 MiB in a small file", new HostileQcow2().U32(56, 2048), Suspicious, "outside-file", null);
        yield return Qcow2("a refcount table that is not aligned", new HostileQcow2().U64(48, RefcountTable + 512), Refused, "limits", "Reference count table offset invalid");
        yield return Qcow2("a refcount table that is the header", new HostileQcow2().U64(48, 0), Suspicious, "overlap", null);
        yield return Qcow2("a refcount block that is the L1 table", new HostileQcow2().U64(RefcountTable, L1), Suspicious, "overlap", null);
        yield return Qcow2("a refcount block outside the file", new HostileQcow2().U64(RefcountTable, 1UL << 50), Suspicious, "outside-file", null);
        yield return Qcow2("a refcount block that is not aligned", new HostileQcow2().U64(RefcountTable, RefcountBlock + 512), Suspicious, "unaligned", null);
    }

    // ---- Snapshots and bitmaps

    private static IEnumerable<HostileImage> Lists()
    {
        yield return Qcow2("65537 snapshots", new HostileQcow2().U32(60, 65537).U64(64, Data), Refused, "limits", "Snapshot table too large");
        yield return Qcow2("65536 snapshots in a small file", new HostileQcow2().U32(60, 65536).U64(64, Data).Put(Data, new byte[Cluster]), Refused, "snapshots-outside-file", "Snapshot table entry 103 lies beyond the end of the file");
        yield return Qcow2("no snapshots in a table that is not aligned", new HostileQcow2().U64(64, 0x1234_5678_90AB_CDEF), Refused, "limits", "Snapshot table offset invalid");
        yield return Qcow2("a snapshot table that is not aligned", new HostileQcow2().U32(60, 1).U64(64, Data + 8), Refused, "limits", "Snapshot table offset invalid");
        yield return Qcow2("a snapshot table outside the file", new HostileQcow2().U32(60, 1).U64(64, 1UL << 50), Refused, "snapshots-outside-file", null);
        yield return Qcow2("a snapshot table that is the header", new HostileQcow2().U32(60, 1).U64(64, 0), Suspicious, "overlap", null);
        yield return Qcow2("a snapshot with 4 GiB of extra data", Snapshot(i => i.U32(Data + 36, uint.MaxValue)), Refused, "snapshot-extra", "Too much extra metadata in snapshot table entry 0");
        yield return Qcow2("a snapshot whose name leaves the file", Snapshot(i => i.U16(Data + 14, ushort.MaxValue)), Suspicious, "outside-file", null);
        yield return Qcow2("a snapshot with an L1 table of 2^32-1 entries", Snapshot(i => i.U32(Data + 8, uint.MaxValue)), Suspicious, "snapshot-l1-size", null);
        yield return Qcow2("a snapshot with an L1 table outside the file", Snapshot(i => i.U64(Data, 1UL << 50)), Suspicious, "outside-file", null);
        yield return Qcow2("a snapshot with an L1 table that is not aligned", Snapshot(i => i.U64(Data, L1 + 8)), Suspicious, "unaligned", null);
        yield return Qcow2("a snapshot that shares the active L1 table", Snapshot(i => i.U64(Data, L1)), Suspicious, "overlap", null);

        yield return Qcow2("a bitmaps extension of the wrong length", new HostileQcow2().Autoclear(1).ExtensionOfWords(BitmapsHeader, 1UL << 32), Refused, "bitmaps", "bitmaps_ext: Invalid extension length");
        yield return Qcow2("no bitmaps in the extension", new HostileQcow2().BitmapsExtension(0, 32, Data), Refused, "bitmaps", "found bitmaps extension with zero bitmaps");
        yield return Qcow2("65536 bitmaps", new HostileQcow2().BitmapsExtension(65536, 32, Data), Refused, "bitmaps", "exceeding the maximum of 65535");
        yield return Qcow2("a bitmap directory of 2^62 bytes", new HostileQcow2().BitmapsExtension(1, 1UL << 62, Data), Refused, "bitmaps", "exceeds the maximum supported size");
        yield return Qcow2("2^31 bitmaps that are not kept up to date", new HostileQcow2().BitmapsExtension(1u << 31, 1UL << 62, Data).Autoclear(0), Refused, "bitmaps", "exceeding the maximum of 65535");
        yield return Qcow2("a bitmap directory that ends beyond 2^63", new HostileQcow2().BitmapsExtension(1, 32, long.MaxValue - 8), Refused, "bitmaps", "invalid bitmap directory offset");
        yield return Qcow2("a bitmap directory outside the file", new HostileQcow2().BitmapsExtension(1, 32, 1UL << 50), Suspicious, "outside-file", "");
        yield return Qcow2("a bitmap directory of 64 MiB in a small file", new HostileQcow2().BitmapsExtension(65535, 64 << 20, Data), Suspicious, "outside-file", "");
        yield return Qcow2("a bitmap directory over the L1 table", new HostileQcow2().BitmapsExtension(1, 32, L1), Suspicious, "overlap", "");
        yield return Qcow2("a bitmap whose name leaves the directory", Bitmap(i => i.U16(Data + 18, 1000)), Suspicious, "bitmap-directory", "");
        yield return Qcow2("a bitmap with 4 GiB of extra data", Bitmap(i => i.U32(Data + 20, uint.MaxValue)), Suspicious, "bitmap-directory", "");
        yield return Qcow2("a bitmap of granularity 2^255", Bitmap(i => i.Put(Data + 17, [255])), Suspicious, "bitmap-directory", "");
        yield return Qcow2("a bitmap whose table is 32 GiB", Bitmap(i => i.U32(Data + 8, uint.MaxValue)), Suspicious, "outside-file", "doesn't satisfy the constraints");
    }

    private static HostileQcow2 Snapshot(Action<HostileQcow2> spoil) => WithSnapshot().Also(spoil);

    private static HostileQcow2 Bitmap(Action<HostileQcow2> spoil) => WithBitmap().Also(spoil);

    /// <summary>A valid image with one snapshot: its table where the data was, its L1 table behind it.</summary>
    internal static HostileQcow2 WithSnapshot()
        => new HostileQcow2().U64(L2, 0).U32(60, 1).U64(64, Data).Put(Data, new byte[Cluster]).Grow(1, out int table)
            .U64(Data, (ulong)table).U32(Data + 8, 1).U16(Data + 12, 1).U16(Data + 14, 1).U32(Data + 36, 16).Put(Data + 56, "1s"u8);

    /// <summary>A valid image with one bitmap: its directory where the data was, its table behind it.</summary>
    internal static HostileQcow2 WithBitmap()
        => new HostileQcow2().U64(L2, 0).BitmapsExtension(1, 32, Data).Put(Data, new byte[Cluster]).Grow(1, out int table)
            .U64(Data, (ulong)table).U32(Data + 8, 1).Put(Data + 16, [1, 16]).U16(Data + 18, 1).Put(Data + 24, "b"u8);

    // ---- Clusters

    private static IEnumerable<HostileImage> Clusters()
    {
        yield return Qcow2("a data cluster that is the header's neighbour, the refcount table", new HostileQcow2().U64(L2, Copied | RefcountTable), Suspicious, "data-in-metadata", null);
        yield return Qcow2("a data cluster that is the L1 table", new HostileQcow2().U64(L2, Copied | L1), Suspicious, "data-in-metadata", null);
        yield return Qcow2("a data cluster at the highest offset", new HostileQcow2().U64(L2, Copied | 0x00FF_FFFF_FFFF_F000), Suspicious, "data-outside-file", null);
        yield return Qcow2("an L2 entry with every bit set", new HostileQcow2().U64(L2, ulong.MaxValue & ~Compressed), Suspicious, "reserved-bits", null);
        yield return Qcow2("a data cluster that is not aligned", new HostileQcow2().U64(L2, Copied | (Data + 512)), Suspicious, "unaligned", null);
        yield return Qcow2("one data cluster in two places of the disk", new HostileQcow2().U64(L2 + 8, Copied | Data), Suspicious, "data-twice", null);
        yield return Qcow2("a compressed cluster at the highest offset", new HostileQcow2().U64(L2, Compressed | 0x00FF_FFFF_FFFF_FFFF), Suspicious, "data-outside-file", null);
        yield return Qcow2("a compressed cluster of garbage", new HostileQcow2().U64(L2, Compressed | Data), Safe, "", null);
        yield return Qcow2("a zstd cluster of garbage", new HostileQcow2().Incompatible(8).U32(100, 112).Put(104, [1, 0, 0, 0, 0, 0, 0, 0]).U64(L2, Compressed | Data), Safe, "", null);
        yield return Qcow2("a compressed cluster that ends early", new HostileQcow2().Put(Data, Deflated(100)).U64(L2, Compressed | Data), Safe, "", null);
        yield return Qcow2("a compressed cluster that is the L1 table", new HostileQcow2().U64(L2, Compressed | L1), Suspicious, "data-in-metadata", null);
        yield return Qcow2("a bomb: the same few bytes decompressed for every cluster",
            new HostileQcow2(2 << 20).Put(Data, Deflated(Cluster)).Also(i =>
            {
                for (int entry = 0; entry < 512; entry++) i.U64(L2 + entry * 8, Compressed | Data);
            }), Suspicious, "compressed-twice", null);
        yield return Qcow2("a disk of 2 TiB whose L2 tables are all the same (a bomb for whoever copies it)", Bomb(), Suspicious, "data-twice", null);
    }

    /// <summary>2 MiB clusters: each L1 entry maps 512 GiB; four of them name one L2 table, 2048 of whose entries name one data cluster.</summary>
    private static HostileQcow2 Bomb()
    {
        const int Big = 2 << 20;
        var image = new HostileQcow2(2L << 40).Grow(5 * Big / Cluster, out _);
        image.U32(20, 21).U32(36, 4).U64(40, 2 * Big).U64(48, Big).U32(56, 1).Put(Big, new byte[Big]);
        for (int entry = 0; entry < 4; entry++) image.U64(2 * Big + entry * 8, Copied | (3 * Big));
        for (int entry = 0; entry < 2048; entry++) image.U64(3 * Big + entry * 8, Copied | (4 * Big));
        return image;
    }

    private static byte[] Deflated(int length)
    {
        using var packed = new MemoryStream();
        using (var deflate = new System.IO.Compression.DeflateStream(packed, System.IO.Compression.CompressionLevel.SmallestSize)) deflate.Write(new byte[length]);
        return packed.ToArray();
    }

    // ---- LUKS

    private static IEnumerable<HostileImage> Luks()
    {
        yield return Luks("a LUKS volume of version 2", h => h[7] = 2, Refused, "luks-header", "");
        yield return Luks("a LUKS volume that ends inside its header", h => { }, Refused, "luks-header", "", length: 500);
        yield return Luks("a cipher name that does not end", h => h.AsSpan(8, 32).Fill((byte)'a'), Refused, "luks-header", "");
        yield return Luks("a cipher nobody knows", h => "rot13\0"u8.CopyTo(h.AsSpan(8)), Refused, "luks-header", "");
        yield return Luks("a hash name that steers a terminal", h => "\u001b[2J\0"u8.CopyTo(h.AsSpan(72)), Refused, "luks-header", "");
        yield return Luks("a key of 2^32-1 bytes", h => BinaryPrimitives.WriteUInt32BigEndian(h.AsSpan(108), uint.MaxValue), Refused, "luks-header", "");
        yield return Luks("a key derivation of 2^32-1 iterations", h => BinaryPrimitives.WriteUInt32BigEndian(h.AsSpan(164), uint.MaxValue), Refused, "luks-header", "");
        yield return Luks("a key slot of 200 million iterations", h => BinaryPrimitives.WriteUInt32BigEndian(h.AsSpan(212), 200_000_000), Suspicious, "luks-iterations", "");
        yield return Luks("key material of 2^32-1 stripes", h => BinaryPrimitives.WriteUInt32BigEndian(h.AsSpan(252), uint.MaxValue), Refused, "luks-header", "");
        yield return Luks("key material in the header", h => BinaryPrimitives.WriteUInt32BigEndian(h.AsSpan(248), 0), Refused, "luks-header", "");
        yield return Luks("key slots that overlap", h => BinaryPrimitives.WriteUInt32BigEndian(h.AsSpan(248 + 48), 8), Refused, "luks-header", "");
        yield return Luks("a payload outside the file", h => BinaryPrimitives.WriteUInt32BigEndian(h.AsSpan(104), uint.MaxValue), Suspicious, "luks-payload", "");
        yield return Luks("a payload over the key slots", h => BinaryPrimitives.WriteUInt32BigEndian(h.AsSpan(104), 16), Refused, "luks-header", "");
        yield return Luks("key slots outside the file", h => { }, Suspicious, "luks-outside-file", "", length: 8192);
    }

    /// <summary>A volume of aes-256-xts with slot 0 in use (its digests are zeros: no passphrase opens it), spoiled.</summary>
    private static HostileImage Luks(string name, Action<byte[]> spoil, InspectionVerdict verdict, string code, string? error, int length = 2_100_000)
    {
        byte[] header = new byte[Math.Max(length, 592)];
        ReadOnlySpan<byte> magic = [.. "LUKS"u8, 0xBA, 0xBE, 0, 1];
        magic.CopyTo(header);
        "aes"u8.CopyTo(header.AsSpan(8));
        "xts-plain64"u8.CopyTo(header.AsSpan(40));
        "sha256"u8.CopyTo(header.AsSpan(72));
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(104), 4096);
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(108), 64);
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(164), 1000);
        for (int slot = 0; slot < 8; slot++)
        {
            Span<byte> entry = header.AsSpan(208 + slot * 48);
            BinaryPrimitives.WriteUInt32BigEndian(entry, slot == 0 ? 0x00AC71F3u : 0xDEADu);
            BinaryPrimitives.WriteUInt32BigEndian(entry[4..], 1000);
            BinaryPrimitives.WriteUInt32BigEndian(entry[40..], (uint)(8 + slot * 504));
            BinaryPrimitives.WriteUInt32BigEndian(entry[44..], 4000);
        }

        spoil(header);
        return new(name, header[..length], verdict, code, error) { Format = "luks" };
    }

    // ---- Other formats

    private static IEnumerable<HostileImage> Others()
    {
        yield return new("a raw disk into which its guest wrote a qcow2 header (CVE-2026-24708)",
            new HostileQcow2().Backing("/etc/passwd").Bytes, Suspicious, "other-format", null) { Format = "raw" };
        yield return new("qcow2 at its beginning, a disk copy at its end", [.. new HostileQcow2().Bytes, .. "koly"u8, .. new byte[508]], Suspicious, "several-formats", null);
        yield return new("a VMDK descriptor whose extent is a file of the host (CVE-2022-47951)", Encoding.ASCII.GetBytes(
            "# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\nRW 8192 FLAT \"/etc/passwd\" 0\nparentFileNameHint=\"/etc/shadow\"\n"),
            Refused, "extent", "vmdk") { Format = "vmdk" };
        yield return new("a VMDK whose descriptor lies outside the file", [.. "KDMV"u8, .. new byte[24], .. Enumerable.Repeat((byte)0xFF, 16), .. new byte[600]],
            Refused, "descriptor-outside-file", "vmdk") { Format = "vmdk" };
        foreach ((string name, string format, byte[] magic, int at) in new (string, string, byte[], int)[]
        {
            ("VHDX", "vhdx", "vhdxfile"u8.ToArray(), 0), ("VDI", "vdi", [0x7F, 0x10, 0xDA, 0xBE], 64), ("QED", "qed", "QED\0"u8.ToArray(), 0),
            ("qcow version 1", "qcow", [(byte)'Q', (byte)'F', (byte)'I', 0xFB, 0, 0, 0, 1], 0), ("VHD", "vpc", "conectix"u8.ToArray(), 0),
            ("a VHD footer", "vpc", "conectix"u8.ToArray(), 1536), ("Parallels", "parallels", "WithoutFreeSpace"u8.ToArray(), 0),
        })
        {
            byte[] bytes = new byte[2048];
            magic.CopyTo(bytes, at);
            yield return new($"a format that is recognised only: {name}", bytes, Refused, "unsupported-format", format) { Format = format };
        }
    }
}

/// <summary>Several steps in one expression.</summary>
internal static class HostileExtensions
{
    public static HostileQcow2 Also(this HostileQcow2 image, Action<HostileQcow2> spoil)
    {
        spoil(image);
        return image;
    }
}
