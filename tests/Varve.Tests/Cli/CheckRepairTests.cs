using System.Buffers.Binary;
using Varve.Formats.Qcow2.Metadata;
using Varve.Tests.Support;

namespace Varve.Tests.Cli;

/// <summary><c>img check</c> beside the reference's on images spoilt on purpose: streams, exit code, and what either thinks of the other's repair.</summary>
public sealed class CheckRepairTests : IDisposable
{
    private const long ExtendedL2 = 0x40000;     // the first L2 table of an image whose metadata fits its clusters
    private readonly TempDirectory _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string, long, ulong, int> Damages() => new()
    {
        { "extended_l2=on", ExtendedL2 + 8, 0x1_FFFF_FFFF, 8 },             // allocated and zero at once
        { "extended_l2=on", ExtendedL2 + 16 * 30 + 8, 1, 8 },               // allocated in no cluster
        { "extended_l2=on", ExtendedL2 + 16 * 30 + 8, 0x1_0000_0001, 8 },
        { "extended_l2=on", ExtendedL2 + 16 * 16, 0xC000_0000_0005_0000, 8 },
        { "extended_l2=on", ExtendedL2, 0x8000_0000_0006_0200, 8 },         // between clusters, with data
        { "extended_l2=on", ExtendedL2, 0x8000_0000_0006_0001, 8 },         // a flag extended entries do not use
        { "extended_l2=on", 0x2000A, 2, 2 },
        { "compat=1.1", 0x30000, 0x8000_0000_0000_0000, 8 },                // a table at the header
        { "compat=1.1", 0x40080, 0x4000_0000_0005_0FFF, 8 },
        { "compat=1.1", 72, 2, 8 },
        { "compat=1.1", 72, 1, 8 },
        { "compat=1.1", 0x2000C, 0, 2 },
    };

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task What_is_found_and_repaired_and_how_it_is_said_is_the_references(string options, long offset, ulong value, int size)
    {
        string spoilt = await MakeAsync(options);
        await PokeAsync(spoilt, offset, value, size);
        foreach (string[] mode in new string[][] { ["check"], ["check", "--output=json"], ["check", "-r", "leaks"] }) await AssertSameAsync(spoilt, mode);
        if (value != 0x8000_0000_0000_0000) await AssertSameAsync(spoilt, "check", "-r", "all");      // with a table at the header: we do not write there
    }

    [Theory]
    [InlineData(36, 8UL, 4)]            // too much extra data, as the second entry is read in the middle of the first
    [InlineData(36, 2000UL, 4)]
    [InlineData(0, 0xA0200UL, 8)]
    [InlineData(8, 0x1000_0000UL, 4)]
    [InlineData(0, 0x40_0000UL, 8)]
    public async Task Entries_of_the_snapshot_table_are_checked(int inEntry, ulong value, int size)
    {
        (string spoilt, long table) = await MakeWithSnapshotsAsync();
        await PokeAsync(spoilt, table + inEntry, value, size);
        await AssertSameAsync(spoilt, "check");
        await AssertSameAsync(spoilt, "check", "-r", "leaks");
        if (inEntry == 36 && value == 2000) await AssertSameAsync(spoilt, "check", "-r", "all");
    }

    [Theory]
    [InlineData(64, 0xFFFF_FFFF_FFFF_0000UL, 8, "snapshot table offset invalid")]
    [InlineData(60, 70_000UL, 4, "snapshot table too large")]
    public async Task A_snapshot_table_that_cannot_be_is_refused_as_the_reference_refuses_it(int inHeader, ulong value, int size, string message)
    {
        (string spoilt, _) = await MakeWithSnapshotsAsync();
        await PokeAsync(spoilt, inHeader, value, size);
        ToolRun run = await AssertSameAsync(spoilt, "check");
        Assert.Contains(message, run.Error);
    }

    [Fact]
    public async Task Thousands_of_entries_behind_the_end_of_the_file_are_discarded()
    {
        (string spoilt, long table) = await MakeWithSnapshotsAsync("compat=0.10");     // where entries of zeros are complete
        await PokeAsync(spoilt, 60, 60_000, 4);
        ToolRun found = await ToolRun.ImgAsync("check", spoilt);
        Assert.Contains("lies beyond the end of the file\nYou can force-remove all ", found.Error);
        ToolRun repaired = await ToolRun.ImgAsync("check", "-r", "all", spoilt);
        Assert.Equal(0, repaired.ExitCode);
        Assert.Contains(" overhanging snapshots (beyond the end of the file)\n", repaired.Error);
        ToolRun reference = await ToolRun.ReferenceAsync("qemu-img", "check", spoilt);
        Assert.Equal((0, ""), (reference.ExitCode, reference.Error));
        Assert.Null(Qcow2Header.TryRead((await File.ReadAllBytesAsync(spoilt, TestContext.Current.CancellationToken)).AsSpan(0, 112), out Qcow2Header header));
        Assert.Equal(table, header.SnapshotTable.Value);    // what remains was right, and stays where it is
    }

    [Fact]
    public async Task A_snapshot_whose_tables_lie_behind_the_end_of_the_file_is_not_applied()
    {
        (string image, long table) = await MakeWithSnapshotsAsync();
        await PokeAsync(image, table, 1UL << 40, 8);
        ToolRun applied = await ToolRun.ImgAsync("snapshot", "-a", "a", image);
        Assert.Equal(1, applied.ExitCode);
        Assert.Contains("Snapshot L1 table lies beyond the end of the file", applied.Error);
    }

    [Fact]
    public async Task A_name_ends_at_its_first_NUL()
    {
        (string image, _) = await MakeWithSnapshotsAsync();
        await ReferenceAsync("qemu-img", "snapshot", "-c", "seen-unseen", image);
        int name = (await File.ReadAllBytesAsync(image, TestContext.Current.CancellationToken)).AsSpan().IndexOf("seen-unseen"u8);
        await PokeAsync(image, name + 4, 0, 1);
        ToolRun actual = await AssertSameAsync(image, "snapshot", "-l");
        Assert.DoesNotContain("unseen", actual.Output);
    }

    [Fact]
    public async Task An_upgrade_to_version_3_completes_the_entries()
    {
        string image = await MakeAsync("compat=0.10");
        await ReferenceAsync("qemu-img", "snapshot", "-c", "short", image);
        byte[] bytes = await File.ReadAllBytesAsync(image, TestContext.Current.CancellationToken);
        Assert.Null(Qcow2Header.TryRead(bytes, out Qcow2Header header));
        long table = header.SnapshotTable.Value;
        SnapshotHead head = SnapshotHead.Read(bytes.AsSpan((int)table));
        byte[] entry = bytes[(int)table..(int)(table + 40)];
        SnapshotHead.SetExtraSize(entry, 0);
        await PokeAsync(image, table, [.. entry, .. bytes[(int)(table + 64)..(int)(table + 64 + head.IdSize + head.NameSize)]]);

        Assert.Equal("", (await ToolRun.ImgAsync("amend", "-f", "qcow2", "-o", "compat=1.1", image)).Error);
        ToolRun reference = await ToolRun.ReferenceAsync("qemu-img", "check", image);
        Assert.Equal((0, ""), (reference.ExitCode, reference.Error));
        Assert.Contains("short", (await ToolRun.ReferenceAsync("qemu-img", "snapshot", "-l", image)).Output);
    }

    [Fact]
    public async Task Incomplete_entries_are_completed()
    {
        (string image, long table) = await MakeWithSnapshotsAsync();
        byte[] bytes = await File.ReadAllBytesAsync(image, TestContext.Current.CancellationToken);
        Assert.Null(Qcow2Header.TryRead(bytes, out _));
        byte[] second = bytes[(int)(table + 40)..(int)(table + 64)];
        SnapshotHead head = SnapshotHead.Read(bytes.AsSpan((int)table));
        byte[] entry = bytes[(int)table..(int)(table + 40)];
        SnapshotHead.SetExtraSize(entry, 0);
        byte[] names = bytes[(int)(table + 64)..(int)(table + 64 + head.IdSize + head.NameSize)];
        await PokeAsync(image, table, [.. entry, .. names]);
        await PokeAsync(image, 60, 1, 4);       // the first alone
        Assert.Equal(24, second.Length);
        ToolRun found = await AssertSameAsync(image, "check");
        Assert.Contains("ERROR snapshot table entry 0 is incomplete", found.Error);
        ToolRun repaired = await AssertSameAsync(image, "check", "-r", "all");
        Assert.Contains("Repairing snapshot table entry 0 is incomplete", repaired.Error);
    }

    /// <summary>Words of metadata replaced at random. What we repair the reference finds no worse than what it repairs itself.</summary>
    [Theory]
    [InlineData("compat=1.1")]
    [InlineData("extended_l2=on,cluster_size=16k")]
    [InlineData("cluster_size=1k,refcount_bits=8")]
    [InlineData("refcount_bits=64,cluster_size=4k")]
    public async Task Random_damage_is_reported_word_for_word_and_repaired_at_least_as_well(string options)
    {
        string whole = await MakeAsync(options);
        byte[] bytes = await File.ReadAllBytesAsync(whole, TestContext.Current.CancellationToken);
        Assert.Null(Qcow2Header.TryRead(bytes, out Qcow2Header header));
        var random = new Random(options.Length);
        for (int i = 0; i < 8; i++)
        {
            byte[] spoilt = [.. bytes];
            for (int k = random.Next(1, 3); k > 0; k--) Spoil(spoilt, header, random);
            string image = _folder[$"spoilt{i}"];
            await File.WriteAllBytesAsync(image, spoilt, TestContext.Current.CancellationToken);
            await AssertSameAsync(image, "check");
            string ours = Copy(image, "ours"), theirs = Copy(image, "theirs");
            await ToolRun.ImgAsync("check", "-r", "all", ours);
            await ToolRun.ReferenceAsync("qemu-img", "check", "-r", "all", theirs);
            ToolRun aboutOurs = await ToolRun.ReferenceAsync("qemu-img", "check", ours), aboutTheirs = await ToolRun.ReferenceAsync("qemu-img", "check", theirs);
            Assert.True(aboutOurs.ExitCode == 0 || aboutTheirs.ExitCode != 0, $"{i}: {aboutOurs}");
        }
    }

    private static void Spoil(byte[] image, Qcow2Header header, Random random)
    {
        long l1 = header.L1Table.Value, l2 = (long)(BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan((int)l1)) & 0x00FF_FFFF_FFFF_FE00);
        long block = (long)BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan((int)header.RefcountTable.Value));
        ulong cluster = (ulong)(random.Next(8, image.Length >> header.ClusterBits) << header.ClusterBits);
        int entrySize = 1 << header.L2EntryBits;
        (long at, ulong value) = random.Next(5) switch
        {
            0 => (block + random.Next(image.Length >> header.ClusterBits) * header.RefcountBits / 64 * 8, (ulong)random.NextInt64() & 0x0003_0001_0002_0001),
            1 => (l2 + random.Next(12) * entrySize, (1UL << 63) | cluster),
            2 => (l2 + random.Next(12) * entrySize, cluster),
            3 => (l2 + random.Next(12) * entrySize, cluster | 0x200),
            _ => (l1, BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan((int)l1)) ^ (1UL << 63)),
        };
        BinaryPrimitives.WriteUInt64BigEndian(image.AsSpan((int)at), value);
    }

    private async Task<ToolRun> AssertSameAsync(string image, params string[] arguments)
    {
        // One name for both: the JSON output says it.
        ToolRun expected = await ToolRun.ReferenceAsync("qemu-img", [.. arguments, Copy(image, "copy")]);
        ToolRun actual = await ToolRun.ImgAsync([.. arguments, Copy(image, "copy")]);
        Assert.Equal(Sorted(expected), Sorted(actual));
        return actual;

        // The order of members says nothing.
        ToolRun Sorted(ToolRun run) => arguments.Contains("--output=json")
            ? run with { Output = string.Join('\n', run.Output.Split('\n').Select(l => l.TrimEnd(',')).Order(StringComparer.Ordinal)) }
            : run;
    }

    private string Copy(string image, string name)
    {
        File.Copy(image, _folder[name], overwrite: true);
        return _folder[name];
    }

    private async Task<string> MakeAsync(string options)
    {
        string image = _folder["image"];
        await ReferenceAsync("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, image, "4M");
        await ReferenceAsync("qemu-io", "-f", "qcow2", "-c", "write -c -P 7 1M 64k", "-c", "write 0 100k", image);
        return image;
    }

    private async Task<(string Image, long Table)> MakeWithSnapshotsAsync(string options = "compat=1.1")
    {
        string image = await MakeAsync(options);
        foreach (string name in new[] { "a", "b" }) await ReferenceAsync("qemu-img", "snapshot", "-c", name, image);
        Assert.Null(Qcow2Header.TryRead((await File.ReadAllBytesAsync(image, TestContext.Current.CancellationToken)).AsSpan(0, 112), out Qcow2Header header));
        return (image, header.SnapshotTable.Value);
    }

    private static async Task ReferenceAsync(string tool, params string[] arguments)
    {
        ToolRun run = await ToolRun.ReferenceAsync(tool, arguments);
        Assert.True(run.ExitCode == 0, run.Error);
    }

    private static Task PokeAsync(string path, long offset, ulong value, int size)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        return PokeAsync(path, offset, bytes[(8 - size)..]);
    }

    private static async Task PokeAsync(string path, long offset, byte[] bytes)
    {
        await using FileStream file = File.OpenWrite(path);
        file.Position = offset;
        await file.WriteAsync(bytes, TestContext.Current.CancellationToken);
    }
}
