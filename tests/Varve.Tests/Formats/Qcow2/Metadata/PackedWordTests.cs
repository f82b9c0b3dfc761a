using Varve.Formats.Qcow2.Metadata;

namespace Varve.Tests.Formats.Qcow2.Metadata;

public sealed class PackedWordTests
{
    [Theory]
    [InlineData(0x0000_0000_0000_0000UL, nameof(ClusterKind.Unallocated), 0L, false)]
    [InlineData(0x8000_0000_0005_0000UL, nameof(ClusterKind.Data), 0x50000L, true)]
    [InlineData(0x0000_0000_0005_0000UL, nameof(ClusterKind.Data), 0x50000L, false)]
    [InlineData(0x0000_0000_0000_0001UL, nameof(ClusterKind.ZeroPlain), 0L, false)]
    [InlineData(0x8000_0000_0005_0001UL, nameof(ClusterKind.ZeroAllocated), 0x50000L, true)]
    [InlineData(0x4000_0000_0005_0001UL, nameof(ClusterKind.Compressed), 0L, false)]
    [InlineData(0x80FF_FFFF_FFFF_FE00UL, nameof(ClusterKind.Data), 0x00FF_FFFF_FFFF_FE00L, true)]
    public void An_L2_entry_says_what_its_bits_say(ulong raw, string kind, long host, bool isCopied)
    {
        var entry = new L2Entry(raw);
        Assert.Equal(kind, entry.Kind.ToString());
        Assert.Equal(isCopied, entry.IsCopied);
        if (entry.Kind != ClusterKind.Compressed) Assert.Equal(host, entry.Host.Value);
    }

    [Fact]
    public void L2_entries_are_made_bit_for_bit()
    {
        Assert.Equal(0x8000_0000_0005_0000UL, L2Entry.Standard(new(0x50000)).Raw);
        Assert.Equal(0x8000_0000_0005_0001UL, L2Entry.ZeroAt(new(0x50000)).Raw);
        Assert.Equal(0x8000_0000_0005_0001UL, L2Entry.Standard(new(0x50000)).WithZero().Raw);
        Assert.Equal(1UL, L2Entry.Zero.Raw);
    }

    [Theory]
    [InlineData(16, 0x4000_0000_0005_0123UL, 0x50123L, 512 - 0x123)]            // no additional sector
    [InlineData(16, 0x4140_0000_0005_01FFUL, 0x501FFL, (5 * 512) + 1)]          // five more: x is 54
    [InlineData(9, 0x6000_0000_0000_0400UL, 0x400L, 1024)]                      // x is 61: one bit is left for the count
    [InlineData(21, 0x4000_4000_0000_0010UL, 0x4000_0000_0010L - 0x4000_0000_0000L, 512 - 16)]
    public void A_compressed_descriptor_divides_by_cluster_size(int clusterBits, ulong raw, long host, int maxLength)
    {
        if (clusterBits == 21) raw &= ~0x4000_0000_0000UL;
        CompressedExtent extent = new L2Entry(raw).Compressed(clusterBits);
        Assert.Equal((host, maxLength), (extent.Host.Value, extent.MaxLength));
        Assert.Equal(raw, L2Entry.CompressedAt(extent, clusterBits).Raw);
    }

    [Fact]
    public void L1_and_refcount_table_entries_are_made_bit_for_bit()
    {
        Assert.Equal(0x8000_0000_0004_0000UL, L1Entry.Of(new(0x40000)).Raw);
        Assert.Equal(0x40000, new L1Entry(0x8000_0000_0004_0000UL).Table.Value);
        Assert.False(new L1Entry(0x8000_0000_0000_0000UL).IsAllocated);
        Assert.Equal(0x20000UL, RefcountTableEntry.Of(new(0x20000)).Raw);
        Assert.Equal(0x20000, new RefcountTableEntry(0x201FF).Block.Value);
    }

    [Theory]
    [InlineData(0, new byte[] { 0b0000_0100, 0, 0, 0, 0, 0, 0, 0 }, 2, 1UL)]    // bit 0 of a byte is its first entry
    [InlineData(1, new byte[] { 0b0011_0000, 0, 0, 0, 0, 0, 0, 0 }, 2, 3UL)]
    [InlineData(2, new byte[] { 0, 0x90, 0, 0, 0, 0, 0, 0 }, 3, 9UL)]
    [InlineData(3, new byte[] { 0, 0, 0xAB, 0, 0, 0, 0, 0 }, 2, 0xABUL)]
    [InlineData(4, new byte[] { 0, 0, 0x12, 0x34, 0, 0, 0, 0 }, 1, 0x1234UL)]
    [InlineData(5, new byte[] { 0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78 }, 1, 0x12345678UL)]
    [InlineData(6, new byte[] { 0x80, 0, 0, 0, 0, 0, 0, 1 }, 0, 0x8000_0000_0000_0001UL)]
    public void A_refcount_lies_where_the_specification_puts_it(int order, byte[] bytes, int index, ulong refcount)
    {
        Assert.Equal(refcount, new RefcountBlock(bytes, order)[index]);
        byte[] written = new byte[8];
        var block = new RefcountBlock(written, order);
        block[index] = refcount;
        Assert.Equal(bytes, written);
        block[index] = 0;
        Assert.Equal(new byte[8], written);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    public void Refcounts_of_every_width_do_not_touch_their_neighbours(int order)
    {
        var block = new RefcountBlock(new byte[512], order);
        Assert.Equal(4096 >> order, block.Count);
        var random = new Random(order);
        var model = new ulong[block.Count];
        for (int i = 0; i < 5000; i++)
        {
            int index = random.Next(model.Length);
            block[index] = model[index] = (ulong)random.NextInt64() & RefcountBlock.MaxRefcount(order);
        }

        for (int i = 0; i < model.Length; i++) Assert.Equal(model[i], block[i]);
    }

    [Fact]
    public void A_header_reads_and_writes_the_bytes_of_the_specification()
    {
        byte[] golden = Convert.FromHexString(
            "514649FB" + "00000003" + "0000000000000200" + "0000000B" + "00000010" + "0000000004000000" + "00000000" + "00000001"
            + "0000000000030000" + "0000000000010000" + "00000001" + "00000002" + "0000000000050000"
            + "0000000000000008" + "0000000000000001" + "0000000000000001" + "00000004" + "00000070" + "0100000000000000");
        Assert.Null(Qcow2Header.TryRead(golden, out Qcow2Header header));
        Assert.Null(header.CheckLimits());
        Assert.Equal(
            new Qcow2Header
            {
                Version = 3, BackingFile = new(0x200), BackingFileSize = 11, ClusterBits = 16, VirtualSize = 64 << 20, L1Size = 1,
                L1Table = new(0x30000), RefcountTable = new(0x10000), RefcountTableClusters = 1, SnapshotCount = 2, SnapshotTable = new(0x50000),
                Incompatible = Qcow2Incompatible.CompressionType, Compatible = Qcow2Compatible.LazyRefcounts, Autoclear = Qcow2Autoclear.Bitmaps,
                RefcountOrder = 4, HeaderLength = 112, CompressionType = Qcow2CompressionType.Zstd,
            },
            header);
        byte[] written = new byte[golden.Length];
        header.WriteTo(written);
        Assert.Equal(golden, written);
    }

    [Fact]
    public void Any_bytes_give_a_header_or_an_error_and_never_anything_else()
    {
        byte[] valid = Convert.FromHexString(
            "514649FB" + "00000003" + "0000000000000000" + "00000000" + "00000010" + "0000000004000000" + "00000000" + "00000001"
            + "0000000000030000" + "0000000000010000" + "00000001" + "00000000" + "0000000000000000"
            + "0000000000000000" + "0000000000000000" + "0000000000000000" + "00000004" + "00000070" + "0000000000000000");
        var random = new Random(7);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] bytes = valid[..random.Next(valid.Length + 1)];
            for (int k = random.Next(6); k > 0 && bytes.Length > 8; k--) bytes[random.Next(8, bytes.Length)] = (byte)random.Next(256);
            if (Qcow2Header.TryRead(bytes, out Qcow2Header header) is null) header.CheckLimits();
        }
    }
}
