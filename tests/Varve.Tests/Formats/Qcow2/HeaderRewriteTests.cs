using Varve.Formats.Qcow2.Metadata;

namespace Varve.Tests.Formats.Qcow2;

public sealed class HeaderRewriteTests
{
    private static string Name(int length, char c) => new(c, length);

    public static TheoryData<int, int, int, int, int> Cases()
    {
        var cases = new TheoryData<int, int, int, int, int>();
        for (int seed = 0; seed < 400; seed++)
        {
            var random = new Random(seed);
            cases.Add(
                seed,
                random.GetItems([9, 10, 11, 12, 16], 1)[0],
                random.GetItems([-1, 1, 20, 300, 500, 900, 1023], 1)[0],
                random.GetItems([-1, 1, 21, 301, 501, 901, 1023], 1)[0],
                random.Next(4));
        }

        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_rewrite_torn_at_any_sector_leaves_the_old_or_the_new_header(int seed, int clusterBits, int oldLength, int newLength, int more)
    {
        var random = new Random(seed);
        HeaderExtension[] unknown = [.. Enumerable.Range(0, more).Select(i => HeaderImages.Unknown(0x1000_0000u + (uint)i, random.Next(200)))];
        string? oldName = oldLength < 0 ? null : Name(oldLength, 'o'), newName = newLength < 0 ? null : Name(newLength, 'n');
        string? oldFormat = oldName is null || random.Next(3) == 0 ? null : "qcow2";
        string? newFormat = newName is null || random.Next(3) == 0 ? null : random.Next(2) == 0 ? "raw" : "some-parallels";
        byte[] bytes;
        try
        {
            bytes = HeaderImages.Build(clusterBits, version: random.Next(2) + 2, oldName, oldFormat, withTable: clusterBits > 12, unknown);
        }
        catch (ArgumentException)
        {
            return;     // such a header does not fit into such a cluster
        }

        HeaderCluster current = HeaderImages.Parse(bytes);
        IReadOnlyList<HeaderLayout> steps;
        try
        {
            steps = HeaderRewrite.Plan(current, newName, newFormat);
        }
        catch (BlockException e) when (e.Kind == BlockErrorKind.NoSpace)
        {
            Assert.True(clusterBits <= 11, "64 KiB and 4 KiB have room for every name");
            return;
        }

        HeaderLayout before = HeaderLayout.Of(current);
        for (int i = 0; i < steps.Count; i++)
        {
            HeaderLayout next = steps[i].Over(before);
            bool isLast = i == steps.Count - 1;
            for (int tear = 0; tear < 16; tear++)
            {
                byte[] torn = Torn(before.Bytes, next.Bytes, firstSector: before.Bytes, random);
                AssertHeader(torn, oldName, oldFormat, unknown);
            }

            byte[] tailOnly = Torn(next.Bytes, next.Bytes, firstSector: before.Bytes, random);
            AssertHeader(tailOnly, oldName, oldFormat, unknown);
            AssertHeader(next.Bytes, isLast ? newName : oldName, isLast ? newFormat : oldFormat, unknown);
            before = next;
        }

        Assert.True(steps.Count <= 2);
    }

    [Fact]
    public void Only_the_last_step_has_a_feature_table_to_spare_and_keeps_it()
    {
        HeaderCluster current = HeaderImages.Parse(HeaderImages.Build(name: "base.qcow2", format: "qcow2"));
        HeaderLayout target = HeaderRewrite.Plan(current, "other", "raw")[^1];
        HeaderCluster result = HeaderImages.Parse(target.Over(HeaderLayout.Of(current)).Bytes);
        Assert.Equal(current.Find(HeaderExtension.FeatureNameTable)!.Value.Data.ToArray(), result.Find(HeaderExtension.FeatureNameTable)!.Value.Data.ToArray());
        Assert.DoesNotContain(result.Extensions, e => e.Type == HeaderLayout.Skip);
    }

    [Fact]
    public void Adding_a_format_in_front_of_extensions_that_reach_far_goes_through_a_detour()
    {
        byte[] bytes = HeaderImages.Build(more: [HeaderImages.Unknown(0x1234_5678, 600)]);
        IReadOnlyList<HeaderLayout> steps = HeaderRewrite.Plan(HeaderImages.Parse(bytes), "base", "qcow2");
        Assert.Equal(2, steps.Count);
        Assert.Contains(HeaderImages.Parse(steps[0].Bytes).Extensions, e => e.Type == HeaderLayout.Skip);
    }

    [Fact]
    public void Unknown_header_fields_and_a_long_header_survive()
    {
        byte[] bytes = HeaderImages.Build(name: "a", headerLength: 128);
        bytes[112] = 0xAB;
        bytes[127] = 0xCD;
        HeaderCluster current = HeaderImages.Parse(bytes);
        byte[] result = HeaderRewrite.Plan(current, "b", "raw")[^1].Bytes;
        Assert.Equal((0xAB, 0xCD), (result[112], result[127]));
        Assert.Equal(128, HeaderImages.Parse(result).Header.HeaderLength);
    }

    [Fact]
    public void A_name_of_1024_bytes_is_an_invalid_argument()
    {
        HeaderCluster current = HeaderImages.Parse(HeaderImages.Build());
        var error = Assert.Throws<BlockException>(() => HeaderRewrite.Plan(current, Name(1024, 'x'), "raw"));
        Assert.Equal((BlockErrorKind.Invalid, "Invalid argument"), (error.Kind, error.Message));
        Assert.NotEmpty(HeaderRewrite.Plan(current, Name(1023, 'x'), "raw"));
    }

    [Fact]
    public void A_name_that_does_not_fit_into_the_cluster_has_no_space()
    {
        HeaderCluster current = HeaderImages.Parse(HeaderImages.Build(clusterBits: 9, withTable: false));
        var error = Assert.Throws<BlockException>(() => HeaderRewrite.Plan(current, Name(400, 'x'), "raw"));
        Assert.Equal((BlockErrorKind.NoSpace, "No space left on device"), (error.Kind, error.Message));
    }

    [Fact]
    public void An_extension_longer_than_the_cluster_is_refused()
    {
        byte[] bytes = HeaderImages.Build();
        bytes.AsSpan(116, 4).Fill(0xFF);
        Assert.Equal("Header extension too large", HeaderCluster.TryRead(bytes, out _)!.Message);
    }

    private static byte[] Torn(byte[] a, byte[] b, byte[] firstSector, Random random)
    {
        byte[] torn = (byte[])a.Clone();
        for (int at = Align.SectorSize; at < torn.Length; at += Align.SectorSize)
        {
            if (random.Next(2) == 0) b.AsSpan(at, Align.SectorSize).CopyTo(torn.AsSpan(at));
        }

        firstSector.AsSpan(0, Align.SectorSize).CopyTo(torn);
        return torn;
    }

    private static void AssertHeader(byte[] bytes, string? name, string? format, HeaderExtension[] unknown)
    {
        HeaderCluster cluster = HeaderImages.Parse(bytes);
        Assert.Equal(name, cluster.BackingFile);
        Assert.Equal(format, cluster.BackingFormat);
        HeaderExtension[] kept = [.. cluster.Extensions.Where(e => unknown.Any(u => u.Type == e.Type))];
        Assert.Equal(unknown.Length, kept.Length);
        for (int i = 0; i < unknown.Length; i++) Assert.Equal(unknown[i].Data.ToArray(), kept[i].Data.ToArray());
    }
}
