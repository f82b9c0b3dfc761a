using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>Extended L2 entries beside the reference: the same requests leave the same subclusters, there and here.</summary>
public sealed class Qcow2SubclusterTests
{
    private const int Size = (1 << 20) + 35 * 1024;

    [Theory]
    [InlineData(1, 16384, false, false)]
    [InlineData(2, 65536, false, false)]
    [InlineData(3, 65536, true, false)]
    [InlineData(4, 65536, true, true)]
    [InlineData(5, 65536, false, true)]
    [InlineData(6, 16384, true, true)]
    [InlineData(7, 131072, true, false)]
    public async Task The_same_requests_leave_the_same_subclusters_as_the_reference(int seed, int clusterSize, bool hasBacking, bool hasSnapshot)
    {
        await using var fixture = new Qcow2Fixture();
        string? backing = hasBacking ? MakeBacking(fixture) : null;
        string theirs = fixture.CreateByReference("theirs", Size.ToString(), $"extended_l2=on,cluster_size={clusterSize}", backing);
        List<string> before = Requests(seed, 25), after = Requests(seed + 100, 40);
        Play(theirs, [.. Enumerable.Range(2, 3).Select(i => $"write -c -P 9 {i * clusterSize} {clusterSize}"), .. before]);
        if (hasSnapshot) ReferenceTool.Run("qemu-img", "snapshot", "-c", "s", theirs);
        string ours = fixture.Directory["ours"];
        File.Copy(theirs, ours);

        Play(theirs, after);
        BlockBackend disk = await fixture.OpenAsync(ours);
        foreach (string request in after) await PlayAsync(disk, request);
        await fixture.CloseAsync(disk);

        Assert.Equal(Subclusters(theirs), Subclusters(ours));
        ReferenceTool.Run("qemu-img", "compare", theirs, ours);
        Qcow2Fixture.AssertClean(ours);
        if (!hasSnapshot) return;
        foreach (string image in new[] { ours, theirs }) ReferenceTool.Run("qemu-img", "snapshot", "-a", "s", image);
        ReferenceTool.Run("qemu-img", "compare", theirs, ours);
        Qcow2Fixture.AssertClean(ours);
    }

    [Fact]
    public async Task A_run_of_data_subclusters_across_clusters_is_one_read()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1 << 20, """{"extended-l2": true, "cluster-size": 16384}""");
        await using OpenedImage opened = await image.OpenAsync();
        byte[] data = new byte[65536];
        Random.Shared.NextBytes(data);
        await opened.Backend.WriteAsync(512, data, cancellationToken: TestContext.Current.CancellationToken);
        int reads = 0;
        foreach (MemoryNode node in image.Memory.OpenNodes)
        {
            node.OnRequest = (_, _, _) =>
            {
                reads++;
                return ValueTask.CompletedTask;
            };
        }

        byte[] read = new byte[data.Length];
        await opened.Backend.ReadAsync(512, read, TestContext.Current.CancellationToken);
        Assert.Equal(data, read);
        Assert.Equal(1, reads);
    }

    [Fact]
    public async Task A_small_write_copies_no_more_than_its_subclusters()
    {
        await using var fixture = new Qcow2Fixture();
        string path = fixture.CreateByReference("a", Size.ToString(), "extended_l2=on", MakeBacking(fixture));
        BlockBackend disk = await fixture.OpenAsync(path);
        await disk.WriteAsync(3000, new byte[3000]);
        await fixture.CloseAsync(disk);
        Assert.Equal("0: host 0000000000000006\n", Subclusters(path));      // subclusters 1 and 2, of 2 KiB
    }

    [Theory]
    [InlineData("metadata")]
    [InlineData("falloc")]
    [InlineData("full")]
    public async Task Preallocation_sets_clusters_aside_and_lets_the_backing_image_show(string mode)
    {
        await using var fixture = new Qcow2Fixture();
        await using MemoryImage image = await MemoryImage.CreateAsync(Size & ~511, $$"""
            {"extended-l2": true, "preallocation": "{{mode}}", "backing-file": "b", "backing-fmt": "raw"}
            """);
        string ours = fixture.Directory["ours"];
        await File.WriteAllBytesAsync(fixture.Directory["b"], new byte[Size & ~511], TestContext.Current.CancellationToken);
        await File.WriteAllBytesAsync(ours, image.File.ToArray(), TestContext.Current.CancellationToken);
        string theirs = fixture.CreateByReference("theirs", (Size & ~511).ToString(), $"extended_l2=on,preallocation={mode}", MakeBacking(fixture));
        Assert.Equal(Subclusters(theirs), Subclusters(ours));
        Qcow2Fixture.AssertClean(ours);
    }

    [Theory]
    [InlineData("""{"extended-l2": true, "cluster-size": 8192}""", "Extended L2 entries are only supported with cluster sizes of at least 16384 bytes")]
    [InlineData(
        """{"extended-l2": true, "version": "v2"}""",
        "Extended L2 entries are only supported with compatibility level 1.1 and above (use version=v3 or greater)")]
    [InlineData(
        """{"preallocation": "metadata", "backing-file": "b"}""",
        "Backing file and preallocation can only be used at the same time if extended_l2 is on")]
    public async Task What_cannot_have_subclusters_is_not_created(string options, string message)
    {
        var error = await Assert.ThrowsAsync<BlockException>(() => MemoryImage.CreateAsync(1 << 20, options));
        Assert.Equal(message, error.Message);
    }

    [Fact]
    public async Task Subclusters_smaller_than_a_sector_are_refused()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1 << 20, """{"extended-l2": true, "cluster-size": 16384}""");
        image.File.Write(20, [0, 0, 0, 13]);
        var error = await Assert.ThrowsAsync<BlockException>(() => image.OpenAsync());
        Assert.Equal("Unsupported subcluster size: 256", error.Message);
    }

    [Theory]
    [InlineData(0x8000000000050000, 0x0000000100000001)]
    [InlineData(0, 1)]
    [InlineData(0, 0x0000000100000001)]
    public async Task An_entry_whose_subclusters_contradict_each_other_is_corruption(ulong descriptor, ulong map)
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1 << 20, """{"extended-l2": true}""");
        await using (OpenedImage opened = await image.OpenAsync())
        {
            await opened.Backend.WriteAsync(0, new byte[65536], cancellationToken: TestContext.Current.CancellationToken);
        }

        byte[] entry = new byte[16];
        BinaryPrimitives.WriteUInt64BigEndian(entry, descriptor);
        BinaryPrimitives.WriteUInt64BigEndian(entry.AsSpan(8), map);
        image.File.Write(L2Table(image.File.ToArray()), entry);
        await using OpenedImage spoilt = await image.OpenAsync();
        string? reported = null;
        image.Graph.ImageCorrupted += corruption => reported = corruption.Message;
        var error = await Assert.ThrowsAsync<BlockException>(async () => await spoilt.Backend.ReadAsync(4096, new byte[512]));
        Assert.Equal(BlockErrorKind.Corrupt, error.Kind);
        Assert.Equal("Invalid cluster entry found  (L2 offset: 0x40000, L2 index: 0)", reported);
    }

    [Theory]
    [InlineData(4096, true)]
    [InlineData(515 * 1024, true)]
    [InlineData(515 * 1024, false)]
    public async Task Growing_shows_zeros_where_a_longer_backing_image_would_show(int oldSize, bool hasBacking)
    {
        foreach (PreallocationMode mode in Enum.GetValues<PreallocationMode>())
        {
            await using var fixture = new Qcow2Fixture();
            string path = fixture.CreateByReference("a", oldSize.ToString(), "extended_l2=on", hasBacking ? MakeBacking(fixture) : null);
            BlockBackend disk = await fixture.OpenAsync(path);
            await disk.RunAsync(static async (node, to, token) => { await node.ResizeAsync(to.Length, to.Mode, token); return true; }, (Length: (long)(Size & ~511), Mode: mode), default);
            byte[] all = new byte[Size & ~511];
            await disk.ReadAsync(0, all);
            Assert.Equal(hasBacking ? oldSize : 0, all.AsSpan().LastIndexOfAnyExcept((byte)0) + 1);
            await fixture.CloseAsync(disk);
            Qcow2Fixture.AssertClean(path);
        }
    }

    private static string MakeBacking(Qcow2Fixture fixture)
    {
        string raw = fixture.CreateByReference("base", Size.ToString());
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", $"write -q -P 255 0 {Size & ~511}", raw);
        return raw;
    }

    /// <summary>Random requests in qemu-io's words.</summary>
    private static List<string> Requests(int seed, int count)
    {
        var random = new Random(seed);
        var requests = new List<string>();
        for (int i = 0; i < count; i++)
        {
            int offset = random.Next(2) == 0 ? random.Next(Size / 512) * 512 : random.Next(Size / 2048) * 2048;
            int longest = random.Next(3) == 0 ? 200_000 : 10_000;
            int length = Math.Min(random.Next(2) == 0 ? (random.Next(longest) & ~511) + 512 : (random.Next(longest) & ~2047) + 2048, (Size & ~511) - offset);
            if (length <= 0) continue;
            string verb = random.Next(6) switch
            {
                < 3 => $"write -P {random.Next(1, 200)}",
                3 => "write -z",
                4 => "write -z -u",
                _ => "discard",
            };
            requests.Add($"{verb} {offset} {length}");
        }

        return requests;
    }

    private static void Play(string path, List<string> requests)
        => ReferenceTool.Run("qemu-io", ["-f", "qcow2", "-d", "unmap", .. requests.SelectMany(r => new[] { "-c", r }), path]);

    private static async Task PlayAsync(BlockBackend disk, string request)
    {
        string[] words = request.Split(' ');
        (int offset, int length) = (int.Parse(words[^2]), int.Parse(words[^1]));
        if (words[0] == "discard") await disk.DiscardAsync(offset, length);
        else if (words[1] == "-z") await disk.WriteZeroesAsync(offset, length, words[2] == "-u" ? ZeroFlags.MayUnmap : ZeroFlags.None);
        else await disk.WriteAsync(offset, Enumerable.Repeat(byte.Parse(words[2]), length).ToArray());
    }

    private static long L2Table(byte[] image)
    {
        Assert.Null(Qcow2Header.TryRead(image, out Qcow2Header header));
        return new L1Entry(BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan((int)header.L1Table.Value))).Table.Value;
    }

    /// <summary>A line for each entry of the active tables that says anything; where host clusters lie is the allocator's own affair.</summary>
    private static string Subclusters(string path)
    {
        byte[] image = File.ReadAllBytes(path);
        Assert.Null(Qcow2Header.TryRead(image, out Qcow2Header header));
        var lines = new StringBuilder();
        for (int l1 = 0; l1 < header.L1Size; l1++)
        {
            var l1Entry = new L1Entry(BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan((int)header.L1Table.Value + l1 * 8)));
            if (!l1Entry.IsAllocated) continue;
            for (int i = 0; i < header.L2Entries; i++)
            {
                ReadOnlySpan<byte> bytes = image.AsSpan((int)l1Entry.Table.Value + i * ExtendedL2Entry.Size);
                ExtendedL2Entry entry = ExtendedL2Entry.Read(bytes, hasDataFile: false);
                if (entry == ExtendedL2Entry.Unallocated) continue;
                string place = entry.IsCompressed ? "compressed" : entry.HasHost ? "host" : "nowhere";
                lines.Append($"{l1 * header.L2Entries + i}: {place} {BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]):x16}\n");
            }
        }

        return lines.ToString();
    }
}
