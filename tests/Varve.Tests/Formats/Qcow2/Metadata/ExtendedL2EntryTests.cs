using Varve.Formats.Qcow2.Metadata;

namespace Varve.Tests.Formats.Qcow2.Metadata;

public sealed class ExtendedL2EntryTests
{
    [Fact]
    public void An_extended_entry_reads_and_writes_the_bytes_of_the_specification()
    {
        byte[] golden = Convert.FromHexString("8000000000050000" + "0000008000042001");     // 0, 13 and 18 hold data, 7 reads as zeros
        ExtendedL2Entry entry = ExtendedL2Entry.Read(golden, hasDataFile: false);
        Assert.Equal((0x50000L, true, false), (entry.Host.Value, entry.IsCopied, entry.IsInvalid));
        Assert.Equal((0, 19), entry.DataExtent);
        string kinds = string.Concat(Enumerable.Range(0, 32).Select(i => entry.KindOf(i) switch
        {
            ClusterKind.Data => 'D', ClusterKind.ZeroAllocated => 'Z', ClusterKind.Unallocated => '.', _ => '?',
        }));
        Assert.Equal("D......Z.....D....D.............", kinds);
        byte[] written = new byte[ExtendedL2Entry.Size];
        entry.WriteTo(written);
        Assert.Equal(golden, written);
    }

    /// <summary>Every line of the specification's table: host cluster or not, allocation bit, zero bit.</summary>
    [Theory]
    [InlineData(0x0000_0000_0000_0000UL, 0UL, nameof(ClusterKind.Unallocated))]
    [InlineData(0x8000_0000_0005_0000UL, 0UL, nameof(ClusterKind.Unallocated))]
    [InlineData(0x8000_0000_0005_0000UL, 1UL, nameof(ClusterKind.Data))]
    [InlineData(0x8000_0000_0005_0000UL, 1UL << 32, nameof(ClusterKind.ZeroAllocated))]
    [InlineData(0x0000_0000_0000_0000UL, 1UL << 32, nameof(ClusterKind.ZeroPlain))]
    [InlineData(0x0000_0000_0000_0000UL, 1UL, "invalid")]
    [InlineData(0x0000_0000_0000_0000UL, 1UL | (1UL << 32), "invalid")]
    [InlineData(0x8000_0000_0005_0000UL, 1UL | (1UL << 32), "invalid")]
    [InlineData(0x8000_0000_0005_0000UL, (1UL << 31) | (1UL << 63), "invalid")]
    [InlineData(0x4000_0000_0005_0000UL, 0UL, nameof(ClusterKind.Compressed))]
    [InlineData(0x4000_0000_0005_0000UL, (1UL << 31) | (1UL << 63), nameof(ClusterKind.Compressed))]    // the map is not used there
    [InlineData(0x8000_0000_0005_0001UL, 1UL, nameof(ClusterKind.Data))]                                // nor is this flag
    [InlineData(0x0000_0000_0000_0001UL, 0UL, nameof(ClusterKind.Unallocated))]
    public void A_subcluster_is_what_the_specification_says(ulong descriptor, ulong map, string kind)
    {
        byte[] bytes = new byte[ExtendedL2Entry.Size];
        new ExtendedL2Entry(new(descriptor), new(map)).WriteTo(bytes);
        ExtendedL2Entry entry = ExtendedL2Entry.Read(bytes, hasDataFile: false);
        Assert.Equal(kind, entry.IsInvalid ? "invalid" : entry.KindOf(0).ToString());
    }

    [Fact]
    public void Allocating_and_zeroing_change_the_subclusters_named_and_no_others()
    {
        SubclusterMap map = SubclusterMap.None.WithAllocated(3, 6).WithZero(5, 32).WithAllocated(31, 32);
        Assert.Equal((0x8000_0018U, 0x7FFF_FFE0U), (map.Allocated, map.Zero));
        Assert.Equal((3, 2, 26, 1), (map.RunFrom(0), map.RunFrom(3), map.RunFrom(5), map.RunFrom(31)));
        Assert.Equal(SubclusterMap.AllAllocated, map.WithAllocated(0, 32));
        Assert.Equal(SubclusterMap.AllZero, map.WithZero(0, 32));
        Assert.Equal(map, map.WithZero(7, 7));
        Assert.Equal((32, 32), (SubclusterMap.None.RunFrom(0), SubclusterMap.AllZero.RunFrom(0)));
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(1UL)]
    [InlineData(0x8000_0000_0005_0000UL)]
    [InlineData(0x0000_0000_0005_0001UL)]
    [InlineData(0x4140_0000_0005_01FFUL)]
    public void A_standard_entry_is_one_whose_subclusters_are_all_alike(ulong raw)
    {
        var standard = new L2Entry(raw);
        ExtendedL2Entry entry = ExtendedL2Entry.FromStandard(standard);
        Assert.Equal(standard, entry.ToStandard());
        for (int i = 0; i < SubclusterMap.Count; i++) Assert.Equal(standard.Kind, entry.KindOf(i));
    }
}
