using System.Buffers.Binary;
using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Graph;

public sealed class ChainIndexTests
{
    private const int Size = 1 << 20;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task Reads_through_a_deep_chain_are_what_a_byte_array_would_hold(int seed)
    {
        await using var test = new TestGraph();
        var random = new Random(seed);
        byte[] model = [];
        string? below = null;
        for (int depth = 0; depth < 12; depth++)
        {
            string name = $"{depth}.qcow2";
            Create(test, name, below, size: Size + random.Next(-3, 4) * 40_960, clusterSize: 4096 << random.Next(5));
            BlockNode node = await test.OpenAsync($"$/{name}", readOnly: false);
            BlockBackend layer = await test.UseAsync(node, shared: BlockPermissions.ConsistentRead);
            Array.Resize(ref model, (int)layer.Length);
            for (int i = 0; i < 8; i++) await ChangeAsync(layer, model, random);
            await layer.CloseAsync();
            await test.Graph.ReleaseAsync(node);
            below = name;
        }

        BlockBackend top = await test.UseAsync(await test.OpenAsync($"$/{below}", readOnly: false), shared: BlockPermissions.ConsistentRead);
        for (int i = 0; i < 600; i++)
        {
            int length = random.Next(3) == 0 ? random.Next(1, 100_000) : random.Next(1, 5000), start = random.Next(model.Length - length);
            byte[] back = new byte[length];
            back.AsSpan().Fill(0xEE);
            await top.ReadAsync(start, back);
            Assert.True(model.AsSpan(start, length).SequenceEqual(back), $"{length} bytes at {start}, read {i}");
            if (i % 20 == 19) await ChangeAsync(top, model, random);
        }

        await top.CloseAsync();
    }

    [Fact]
    public async Task What_an_image_in_the_middle_gets_or_loses_is_seen_at_once()
    {
        await using var test = new TestGraph();
        Create(test, "base", null, Size, 65536);
        for (int i = 1; i <= 4; i++) Create(test, $"{i}", i == 1 ? "base" : $"{i - 1}", Size, 65536);
        BlockNode below = await test.AddAsync("{'driver': 'qcow2', 'node-name': 'n0', 'file': {'driver': 'file', 'filename': '$/base'}}");
        BlockNode middle = below;
        for (int i = 1; i <= 4; i++)
        {
            below = await test.AddAsync(
                $$"""{'driver': 'qcow2', 'node-name': 'n{{i}}', 'file': {'driver': 'file', 'filename': '$/{{i}}'}, 'backing': 'n{{i - 1}}', 'discard': 'unmap'}""");
            if (i == 2) middle = below;
        }

        BlockBackend top = await test.UseAsync(below, BlockPermissions.ConsistentRead);
        byte[] back = new byte[4096];
        for (int i = 0; i < 3; i++) await ReadsAs(0);

        // Not what a guest may do to an image others are backed by; it is what jobs do.
        await middle.WriteAsync(0, Filled(1), WriteFlags.None, default);
        for (int i = 0; i < 3; i++) await ReadsAs(1);
        await middle.WriteZeroesAsync(0, 65536, ZeroFlags.MayUnmap, default);
        for (int i = 0; i < 3; i++) await ReadsAs(0);
        await test.Graph.FindNode("n0")!.WriteAsync(0, Filled(2), WriteFlags.None, default);
        await ReadsAs(0);
        await middle.MakeEmptyAsync(default);
        for (int i = 0; i < 3; i++) await ReadsAs(2);
        await middle.ResizeAsync(512, PreallocationMode.Off, default);
        await top.ReadAsync(0, back);
        Assert.Equal([.. Enumerable.Repeat((byte)2, 512), .. new byte[4096 - 512]], back);
        await top.CloseAsync();

        async Task ReadsAs(byte value)
        {
            await top.ReadAsync(0, back);
            Assert.Equal(Filled(value), back);
        }
    }

    /// <summary>Its neighbours are looked up together with a cluster.</summary>
    [Fact]
    public async Task A_broken_entry_fails_who_reads_it_and_not_who_reads_beside_it()
    {
        await using var test = new TestGraph();
        Create(test, "base", null, Size, 65536);
        Create(test, "middle", "base", Size, 65536);
        Create(test, "top", "middle", Size, 65536);
        ReferenceTool.Run("qemu-io", ["-f", "qcow2", "-c", "write -q -P 7 0 1M", test.Directory["base"]]);
        ReferenceTool.Run("qemu-io", ["-f", "qcow2", "-c", "write -q -P 8 64k 64k", test.Directory["middle"]]);
        using (FileStream middle = File.Open(test.Directory["middle"], FileMode.Open))
        {
            long l1 = NumberAt(middle, 40), l2 = NumberAt(middle, l1) & 0x00ff_ffff_ffff_fe00;
            middle.Position = l2 + 8 + 6;   // the second entry: a host offset inside of a cluster
            middle.WriteByte(0x10);
        }

        BlockBackend top = await test.UseAsync(await test.OpenAsync("$/top"), BlockPermissions.ConsistentRead);
        byte[] back = new byte[4096];
        foreach (int cluster in new[] { 0, 2, 15, 3 })
        {
            await top.ReadAsync(cluster << 16, back);
            Assert.Equal(Filled(7), back);
        }

        await Assert.ThrowsAsync<BlockException>(async () => await top.ReadAsync(65536, back));
        await top.CloseAsync();

        static long NumberAt(FileStream file, long offset)
        {
            byte[] bytes = new byte[8];
            file.Position = offset;
            file.ReadExactly(bytes);
            return BinaryPrimitives.ReadInt64BigEndian(bytes);
        }
    }

    private static byte[] Filled(byte value) => [.. Enumerable.Repeat(value, 4096)];

    private static async Task ChangeAsync(BlockBackend layer, byte[] model, Random random)
    {
        int length = random.Next(1, 60_000), start = random.Next(model.Length - length);
        Memory<byte> range = model.AsMemory(start, length);
        if (random.Next(4) == 0)
        {
            range.Span.Clear();
            await layer.WriteZeroesAsync(start, length, ZeroFlags.MayUnmap);
            return;
        }

        random.NextBytes(range.Span);
        await layer.WriteAsync(start, range);
    }

    private static void Create(TestGraph test, string name, string? backing, int size, int clusterSize)
        => ReferenceTool.Run(
            "qemu-img",
            ["create", "-q", "-f", "qcow2", "-o", $"cluster_size={clusterSize}", .. backing is null ? Array.Empty<string>() : ["-b", backing, "-F", "qcow2"],
                test.Directory[name], $"{size}"]);
}
