using Varve.Formats.Qcow2;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

public sealed class Qcow2CompressedWriteTests
{
    [Theory]
    [InlineData("cluster_size=512")]
    [InlineData("cluster_size=512,compression_type=zstd,refcount_bits=1")]
    [InlineData("cluster_size=4096,refcount_bits=2")]
    [InlineData("cluster_size=65536")]
    [InlineData("cluster_size=65536,compression_type=zstd")]
    [InlineData("cluster_size=2M,compression_type=zstd,refcount_bits=64")]
    [InlineData("cluster_size=2M")]
    [InlineData("cluster_size=65536,compat=0.10")]
    [InlineData("cluster_size=4096,lazy_refcounts=on")]
    public async Task Compressed_plain_zero_and_discarded_clusters_live_together_and_the_reference_reads_them(string options)
    {
        await using var fixture = new Qcow2Fixture();
        string path = fixture.CreateByReference("a.qcow2", "9M", options);
        byte[] model = new byte[9 << 20];
        for (int round = 0; round < 2; round++)
        {
            BlockBackend disk = await fixture.OpenAsync(path);
            await WorkAsync(disk, model, seed: round);
            await AssertReadsAsync(disk, model);
            await fixture.CloseAsync(disk);
            Qcow2Fixture.AssertClean(path);
        }

        await AssertSameAsync(fixture, path, model);
    }

    [Theory]
    [InlineData("compression_type=zlib")]
    [InlineData("compression_type=zstd")]
    public async Task Several_threads_compress_at_once(string options)
    {
        await using var fixture = new Qcow2Fixture();
        const int size = 16 << 20, cluster = 65536, workers = 4;
        string path = fixture.CreateByReference("a.qcow2", size.ToString(), options);
        byte[] model = Compressible(size, seed: 3);
        BlockBackend disk = await fixture.OpenAsync(path);
        await Task.WhenAll(Enumerable.Range(0, workers).Select(worker => Task.Run(async () =>
        {
            for (int at = worker * cluster; at < size; at += workers * cluster)
            {
                await disk.WriteAsync(at, model.AsMemory(at, cluster), WriteFlags.Compressed);
                if (at % (13 * cluster) == 0) await disk.FlushAsync();
            }
        })));
        await AssertReadsAsync(disk, model);
        await fixture.CloseAsync(disk);
        Qcow2Fixture.AssertClean(path);
        await AssertSameAsync(fixture, path, model);
        Assert.InRange(new FileInfo(path).Length, 1, size / 2);
    }

    [Fact]
    public async Task What_ends_before_its_cluster_or_begins_inside_one_is_refused()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1000448);
        await using OpenedImage opened = await image.OpenAsync();
        foreach ((int offset, int length) in new[] { (512, 65536), (0, 32768), (0, 100 * 1024), (983040, 512) })
        {
            BlockException e = await Assert.ThrowsAsync<BlockException>(
                async () => await opened.Backend.WriteAsync(offset, new byte[length], WriteFlags.Compressed));
            Assert.Equal((Errno.EINVAL, "Invalid argument"), (e.Errno, e.Message));
        }
    }

    [Fact]
    public async Task The_last_cluster_of_a_disk_may_be_a_part()
    {
        await using var fixture = new Qcow2Fixture();
        string path = fixture.CreateByReference("a.qcow2", "1000448");
        byte[] model = Compressible(1000448, seed: 1);
        BlockBackend disk = await fixture.OpenAsync(path);
        await disk.WriteAsync(0, model, WriteFlags.Compressed);
        await AssertReadsAsync(disk, model);
        await fixture.CloseAsync(disk);
        Qcow2Fixture.AssertClean(path);
        Assert.Equal(0, new FileInfo(path).Length % 512);
        await AssertSameAsync(fixture, path, model);
    }

    [Fact]
    public async Task Nothing_that_is_allocated_is_replaced_by_a_compressed_cluster()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1 << 20);
        await using OpenedImage opened = await image.OpenAsync();
        BlockBackend disk = opened.Backend;
        byte[] cluster = Enumerable.Repeat((byte)1, 65536).ToArray();
        await disk.WriteAsync(0, cluster);
        await disk.WriteAsync(65536, cluster, WriteFlags.Compressed);
        await disk.WriteAsync(131072, cluster);
        await disk.WriteZeroesAsync(131072, 65536);
        foreach (int at in new[] { 0, 65536, 131072 })
        {
            BlockException e = await Assert.ThrowsAsync<BlockException>(async () => await disk.WriteAsync(at, new byte[65536], WriteFlags.Compressed));
            Assert.Equal(Errno.EIO, e.Errno);
        }

        // Given up, the place is free for it; and data that does not get smaller is an ordinary write.
        await disk.DiscardAsync(0, 65536);
        await disk.WriteAsync(0, cluster, WriteFlags.Compressed);
        byte[] noise = new byte[65536];
        new Random(1).NextBytes(noise);
        await disk.WriteAsync(65536, noise, WriteFlags.Compressed);
        byte[] read = new byte[131072];
        await disk.ReadAsync(0, read);
        Assert.Equal(cluster.Concat(noise), read);
    }

    [Fact]
    public async Task Compressed_clusters_share_host_clusters_and_their_refcounts_count_each()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1 << 20);
        await using OpenedImage opened = await image.OpenAsync();
        byte[] data = Compressible(6 * 65536, seed: 9);
        long first = 0;
        for (int i = 0; i < 6; i++)
        {
            await opened.Backend.WriteAsync(i * 65536, data.AsMemory(i * 65536, 65536), WriteFlags.Compressed);
            if (i == 0) first = Align.Up(image.File.Length, 65536) - 65536;
        }

        using (await opened.Node.Allocator.Mutex.EnterAsync())
        {
            Assert.InRange(await opened.Node.Allocator.GetRefcountAsync(first, default), 2u, 6u);
        }

        Assert.InRange(image.File.Length, first, first + 6 * 65536 / 2);
    }

    [Fact]
    public async Task Where_nothing_compresses_a_compressed_write_is_not_supported()
    {
        using var memory = new TempDirectory();
        await File.WriteAllBytesAsync(memory["a.raw"], new byte[65536], TestContext.Current.CancellationToken);
        await using var graph = new BlockGraph();
        BlockNode node = await graph.OpenNodeAsync(
            new() { ["driver"] = "raw", ["file"] = new System.Text.Json.Nodes.JsonObject { ["driver"] = "file", ["filename"] = memory["a.raw"] } }, new OpenContext());
        Assert.False(node.SupportsCompressedWrites);
        BlockBackend disk = await graph.OpenBackendAsync(node, Qcow2Fixture.ReadWrite, BlockPermissions.All);
        await graph.ReleaseAsync(node);
        BlockException e = await Assert.ThrowsAsync<BlockException>(async () => await disk.WriteAsync(0, new byte[65536], WriteFlags.Compressed));
        Assert.Equal(Errno.EOPNOTSUPP, e.Errno);
        await disk.CloseAsync();
    }

    [Fact]
    public void No_match_reaches_back_further_than_a_reader_of_zlib_clusters_can_see()
    {
        byte[] noise = new byte[6000], twice = new byte[12000], packed = new byte[12000];
        new Random(5).NextBytes(noise);
        noise.CopyTo(twice, 0);
        noise.CopyTo(twice, 6000);
        Assert.Null(new ClusterCompressor(Qcow2CompressionType.Zlib).TryCompress(twice, packed));
        Assert.InRange(new ClusterCompressor(Qcow2CompressionType.Zstd).TryCompress(twice, packed)!.Value, 6000, 6200);
    }

    private static async Task WorkAsync(BlockBackend disk, byte[] model, int seed)
    {
        var random = new Random(seed);
        int cluster = disk.Node.ClusterSize;
        for (int step = 0; step < (cluster > 65536 ? 20 : 80); step++)
        {
            int first = random.Next(model.Length / cluster + 1);
            int at = first * cluster, length = Math.Min(random.Next(1, 5) * cluster, model.Length - at);
            if (length <= 0) continue;
            byte[] data = Compressible(length, step);
            if (random.Next(3) == 0) random.NextBytes(data.AsSpan(0, Math.Min(cluster, length)));
            switch (random.Next(8))
            {
                case 0:
                    await disk.DiscardAsync(at, length);
                    await disk.ReadAsync(at, model.AsMemory(at, length));
                    break;
                case 1:
                    await disk.WriteZeroesAsync(at, length, ZeroFlags.MayUnmap);
                    model.AsSpan(at, length).Clear();
                    break;
                case 2:
                    int inside = random.Next(at, at + length), some = Math.Min(random.Next(1, 5000), model.Length - inside);
                    await disk.WriteAsync(inside, data.AsMemory(0, Math.Min(some, data.Length)));
                    data.AsSpan(0, Math.Min(some, data.Length)).CopyTo(model.AsSpan(inside));
                    break;
                case 3:
                    await disk.FlushAsync();
                    break;
                default:
                    try
                    {
                        await disk.WriteAsync(at, data, WriteFlags.Compressed);
                        data.CopyTo(model, at);
                    }
                    catch (BlockException e) when (e.Errno == Errno.EIO)
                    {
                        await disk.ReadAsync(at, model.AsMemory(at, length));    // some clusters were allocated, others were written
                    }

                    break;
            }
        }
    }

    private static byte[] Compressible(int length, int seed)
    {
        byte[] data = new byte[length];
        var random = new Random(seed);
        for (int i = 0; i < length; i++) data[i] = (byte)(random.Next(8) + seed);
        return data;
    }

    private static async Task AssertReadsAsync(BlockBackend disk, byte[] model)
    {
        byte[] actual = new byte[model.Length];
        await disk.ReadAsync(0, actual);
        Assert.Equal(model.Length, model.AsSpan().CommonPrefixLength(actual));
    }

    private static async Task AssertSameAsync(Qcow2Fixture fixture, string path, byte[] model)
    {
        string raw = fixture.Directory["model.raw"];
        await File.WriteAllBytesAsync(raw, model);
        ReferenceTool.Run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, path);
    }
}
