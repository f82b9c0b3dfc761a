using System.Buffers.Binary;
using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>Our check beside the reference's, on images spoilt in one place. Three data clusters lie at 0x50000, 0x60000, 0x70000.</summary>
public sealed class Qcow2CheckTests : IDisposable
{
    private const long RefcountTable = 0x10000, RefcountBlock = 0x20000, L1 = 0x30000, L2 = 0x40000;
    private readonly TempDirectory _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string, long, ulong, int> Damages() => new()
    {
        { "nothing", 0x7FFF8, 0, 8 },
        { "refcount of a data cluster too high", RefcountBlock + 14, 2, 2 },
        { "refcount of the L1 table too high", RefcountBlock + 6, 3, 2 },
        { "refcount of the L2 table too high", RefcountBlock + 8, 2, 2 },
        { "refcount of the L2 table zero", RefcountBlock + 8, 0, 2 },
        { "refcount of the header zero", RefcountBlock, 0, 2 },
        { "refcount of a data cluster zero", RefcountBlock + 12, 0, 2 },
        { "refcount behind the end of the file", RefcountBlock + 40, 1, 2 },
        { "L1 entry without copied flag", L1, 0x40000, 8 },
        { "L1 entry with reserved bits", L1, 0x8100000000040001, 8 },
        { "L1 entry behind the end", L1, 0x8000000020000000, 8 },
        { "L1 entry gone", L1, 0, 8 },
        { "L1 entry at the refcount table", L1, 0x8000000000010000, 8 },
        { "L2 entry unaligned", L2, 0x8000000000050200, 8 },
        { "L2 entry unaligned but zero", L2, 0x8000000000050201, 8 },
        { "L2 entry without copied flag", L2, 0x50000, 8 },
        { "L2 entry with reserved bits", L2, 0x8100000000050000, 8 },
        { "L2 entries sharing a cluster", L2 + 8, 0x8000000000050000, 8 },
        { "L2 entry at the L1 table", L2, 0x8000000000030000, 8 },
        { "L2 entry behind the end", L2, 0x8000000020000000, 8 },
        { "L2 entry at the refcount block", L2, 0x8000000000020000, 8 },
        { "L2 entry at the header", L2, 0x8000000000010000, 8 },
        { "compressed with copied flag", L2, 0xC000000000050000, 8 },
        { "compressed behind the end", L2, 0x4000000020050000, 8 },
        { "refcount table empty", RefcountTable, 0, 8 },
        { "two refcount blocks in one place", RefcountTable + 8, 0x20000, 8 },
        { "refcount block is data", RefcountTable, 0x50000, 8 },
        { "corrupt flag", 72, 2, 8 },
    };

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task Findings_are_the_reference_s_word_for_word(string damage, long offset, ulong value, int size)
    {
        await using MemoryImage image = await SpoiltAsync(offset, value, size);
        string path = _folder["image"];
        await File.WriteAllBytesAsync(path, image.File.ToArray(), TestContext.Current.CancellationToken);
        string theirs = await OutputOfAsync("check", path);
        (CheckResult result, List<string> lines) = await image.CheckAsync();
        Assert.Equal(DriverLines(theirs), lines);
        Assert.Equal(Summary(theirs), Summary(result));
        Assert.NotNull(damage);
    }

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task Repair_fixes_what_the_reference_fixes_and_the_reference_finds_nothing_more(string damage, long offset, ulong value, int size)
    {
        await using MemoryImage image = await SpoiltAsync(offset, value, size);
        string theirs = _folder["theirs"], ours = _folder["ours"];
        await File.WriteAllBytesAsync(theirs, image.File.ToArray(), TestContext.Current.CancellationToken);
        await OutputOfAsync("check", "-q", "-r", "all", theirs);
        string theirSecond = await OutputOfAsync("check", theirs);

        await image.CheckAsync(CheckRepair.All);
        (CheckResult second, List<string> lines) = await image.CheckAsync();
        await File.WriteAllBytesAsync(ours, image.File.ToArray(), TestContext.Current.CancellationToken);
        string ourSecond = await OutputOfAsync("check", ours);
        Assert.Equal(DriverLines(theirSecond), DriverLines(ourSecond));
        Assert.Equal(DriverLines(ourSecond), lines);
        Assert.Equal(DriverLines(ourSecond).Count(l => l.StartsWith("ERROR", StringComparison.Ordinal)), second.Corruptions);
        Assert.NotNull(damage);
    }

    [Fact]
    public async Task Repairing_leaks_alone_leaves_corruptions_and_says_when_refcounts_must_be_rebuilt()
    {
        await using MemoryImage leak = await SpoiltAsync(RefcountBlock + 14, 2, 2);
        (CheckResult result, List<string> lines) = await leak.CheckAsync(CheckRepair.Leaks);
        Assert.Equal((1L, 0L), (result.LeaksFixed, result.Leaks));
        Assert.Equal(["Leaked cluster 7 refcount=2 reference=1", "Repairing cluster 7 refcount=2 reference=1"], lines);

        await using MemoryImage broken = await SpoiltAsync(RefcountBlock, 0, 2);
        var error = await Assert.ThrowsAsync<BlockException>(() => broken.CheckAsync(CheckRepair.Leaks));
        Assert.Equal("Input/output error", error.Message);
    }

    [Fact]
    public async Task A_rebuild_counts_what_it_repaired()
    {
        await using MemoryImage image = await SpoiltAsync(RefcountTable, 0, 8);
        (CheckResult result, List<string> lines) = await image.CheckAsync(CheckRepair.All);
        Assert.Equal((7L, 0L, 0L, 0L), (result.CorruptionsFixed, result.LeaksFixed, result.Corruptions, result.Leaks));
        Assert.Equal(["Rebuilding refcount structure", "Repairing cluster 1 refcount=1 reference=0"], lines[^2..]);
        await using OpenedImage opened = await image.OpenAsync();
        byte[] buffer = new byte[65536];
        await opened.Backend.ReadAsync(65536, buffer, TestContext.Current.CancellationToken);
        Assert.Equal(2, buffer[77]);
    }

    [Fact]
    public async Task A_refcount_table_entry_that_is_not_aligned_makes_refcounts_unreadable_until_they_are_rebuilt()
    {
        await using MemoryImage image = await SpoiltAsync(RefcountTable, 0x20200, 8);
        (CheckResult found, _) = await image.CheckAsync();
        Assert.Equal((1L, 8L), (found.Corruptions, found.CheckErrors));
        await image.CheckAsync(CheckRepair.All);
        (CheckResult second, _) = await image.CheckAsync();
        Assert.Equal((0L, 0L, 0L), (second.Corruptions, second.CheckErrors, second.Leaks));
    }

    private static async Task<MemoryImage> SpoiltAsync(long offset, ulong value, int size)
    {
        MemoryImage image = await MemoryImage.CreateAsync(8.MiB);
        await using (OpenedImage opened = await image.OpenAsync())
        {
            byte[] data = new byte[65536];
            foreach ((long at, byte pattern) in new (long, byte)[] { (0, 1), (65536, 2), (1 << 20, 3) })
            {
                data.AsSpan().Fill(pattern);
                await opened.Backend.WriteAsync(at, data);
            }

            await opened.Backend.FlushAsync();
        }

        image.File.SetLength(0x80000);
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        image.File.Write(offset, bytes.AsSpan(8 - size));
        return image;
    }

    private static List<string> DriverLines(string output)
        => [.. output.Split('\n').Where(l => l.StartsWith("ERROR", StringComparison.Ordinal) || l.StartsWith("Leaked", StringComparison.Ordinal))];

    [Theory]
    [InlineData("leaks")]
    [InlineData("all")]
    public async Task What_a_table_that_cannot_be_read_refers_to_is_not_taken_for_leaked(string repair)
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1 << 20, """{"cluster-size": 4096}""");
        await using (OpenedImage opened = await image.OpenAsync()) await opened.Backend.WriteAsync(0, new byte[65536]);
        byte[] before = image.File.ToArray();
        long table = BinaryPrimitives.ReadInt64BigEndian(before.AsSpan((int)BinaryPrimitives.ReadInt64BigEndian(before.AsSpan(40)))) & ~(1L << 63);
        await using (OpenedImage opened = await image.OpenAsync(forCheck: true))
        {
            image.Memory.OpenNodes[^1].OnRequest = (kind, offset, _) => kind == "read" && offset == table ? throw BlockException.FromErrno(Errno.EIO) : default;
            CheckResult result = await opened.Node.CheckAsync(repair == "all" ? CheckRepair.All : CheckRepair.Leaks, messages: null, default);
            Assert.True(result.CheckErrors > 0 && result is { LeaksFixed: 0, CorruptionsFixed: 0 });
            image.Memory.OpenNodes[^1].OnRequest = null;
        }

        Assert.Equal(before, image.File.ToArray());
    }

    /// <summary>The numbers of the human summary.</summary>
    private static string Summary(string output)
        => string.Join('\n', output.Split('\n').Where(l => l.Contains("found on the image", StringComparison.Ordinal)
            || l.Contains("% allocated", StringComparison.Ordinal) || l.StartsWith("Image end", StringComparison.Ordinal)));

    private static string Summary(CheckResult r)
    {
        var lines = new List<string>();
        if (r.Corruptions > 0) lines.Add($"{r.Corruptions} errors were found on the image.");
        if (r.Leaks > 0) lines.Add($"{r.Leaks} leaked clusters were found on the image.");
        if (lines.Count == 0) lines.Add("No errors were found on the image.");
        if (r.AllocatedClusters > 0)
        {
            lines.Add(FormattableString.Invariant(
                $"{r.AllocatedClusters}/{r.TotalClusters} = {r.AllocatedClusters * 100.0 / r.TotalClusters:0.00}% allocated, {r.FragmentedClusters * 100.0 / r.AllocatedClusters:0.00}% fragmented, {r.CompressedClusters * 100.0 / r.AllocatedClusters:0.00}% compressed clusters"));
        }

        lines.Add($"Image end offset: {r.ImageEndOffset}");
        return string.Join('\n', lines);
    }

    /// <summary>What the reference's qemu-img says, on both streams.</summary>
    private static async Task<string> OutputOfAsync(params string[] arguments)
    {
        Tool.Result result = await Tool.RunAsync("qemu-img", arguments);
        return result.Output + result.Error;
    }
}
