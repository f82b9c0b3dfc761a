using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

public sealed class Qcow2WriteTests
{
    public static TheoryData<int, int, string> Shapes()
    {
        var data = new TheoryData<int, int, string>();
        for (int bits = 9; bits <= 21; bits++) data.Add(1 << bits, 16, "1.1");
        for (int order = 0; order <= 6; order++) data.Add(512, 1 << order, "1.1");
        data.Add(65536, 1, "1.1");
        data.Add(4096, 16, "0.10");
        return data;
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public async Task What_is_written_reads_back_here_and_there_and_checks_clean(int clusterSize, int refcountBits, string compat)
    {
        await using var fixture = new Qcow2Fixture();
        const int size = (8 << 20) + 1536;
        string bits = compat == "1.1" ? $",refcount_bits={refcountBits}" : "";
        string path = fixture.CreateByReference("a.qcow2", size.ToString(), $"cluster_size={clusterSize},compat={compat}{bits}");
        byte[] model = new byte[size];
        BlockBackend disk = await fixture.OpenAsync(path);
        await WriteRandomlyAsync(disk, model, seed: clusterSize + refcountBits, steps: 300);
        await AssertReadsAsync(disk, model);
        await fixture.CloseAsync(disk);
        Qcow2Fixture.AssertClean(path);
        await AssertSameAsync(fixture, path, model);
    }

    [Theory]
    [InlineData(512)]
    [InlineData(65536)]
    public async Task Caches_of_the_smallest_size_lose_nothing(int clusterSize)
    {
        await using var fixture = new Qcow2Fixture();
        const int size = 32 << 20;
        string path = fixture.CreateByReference("a.qcow2", size.ToString(), $"cluster_size={clusterSize}");
        byte[] model = new byte[size];
        BlockBackend disk = await fixture.OpenAsync(path, options: new JsonObject { ["l2-cache-size"] = 1024, ["l2-cache-entry-size"] = 512 });
        await WriteRandomlyAsync(disk, model, seed: 5, steps: 400);
        await AssertReadsAsync(disk, model);
        await fixture.CloseAsync(disk);
        Qcow2Fixture.AssertClean(path);
        await AssertSameAsync(fixture, path, model);
    }

    [Fact]
    public async Task Writing_to_clusters_shared_with_a_snapshot_leaves_the_snapshot_alone()
    {
        await using var fixture = new Qcow2Fixture();
        const int size = 4 << 20;
        string path = fixture.CreateByReference("a.qcow2", size.ToString());
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 2M", path);
        ReferenceTool.Run("qemu-img", "snapshot", "-c", "before", path);
        byte[] model = new byte[size];
        model.AsSpan(0, 2 << 20).Fill(1);
        byte[] before = [.. model];

        BlockBackend disk = await fixture.OpenAsync(path);
        await WriteRandomlyAsync(disk, model, seed: 3, steps: 100);
        await AssertReadsAsync(disk, model);
        await fixture.CloseAsync(disk);
        Qcow2Fixture.AssertClean(path);
        await AssertSameAsync(fixture, path, model);
        ReferenceTool.Run("qemu-img", "snapshot", "-a", "before", path);
        await AssertSameAsync(fixture, path, before);
    }

    [Fact]
    public async Task Compressed_clusters_are_replaced_by_plain_ones()
    {
        await using var fixture = new Qcow2Fixture();
        const int size = 4 << 20;
        byte[] model = new byte[size];
        for (int i = 0; i < size; i++) model[i] = (byte)(i >> 9);
        string raw = fixture.Directory["a.raw"], path = fixture.Directory["a.qcow2"];
        await File.WriteAllBytesAsync(raw, model, TestContext.Current.CancellationToken);
        ReferenceTool.Run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, path);
        BlockBackend disk = await fixture.OpenAsync(path);
        await WriteRandomlyAsync(disk, model, seed: 3, steps: 60);
        await AssertReadsAsync(disk, model);
        await fixture.CloseAsync(disk);
        Qcow2Fixture.AssertClean(path);
        await AssertSameAsync(fixture, path, model);
    }

    [Fact]
    public async Task An_overlay_keeps_its_backing_image_untouched()
    {
        await using var fixture = new Qcow2Fixture();
        const int size = 4 << 20;
        string bottom = fixture.CreateByReference("base.qcow2", "3M");
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 3M", bottom);
        byte[] bottomBytes = await File.ReadAllBytesAsync(bottom, TestContext.Current.CancellationToken);
        string path = fixture.CreateByReference("top.qcow2", size.ToString(), backing: bottom);
        byte[] model = new byte[size];
        model.AsSpan(0, 3 << 20).Fill(7);
        BlockBackend disk = await fixture.OpenAsync(path);
        await WriteRandomlyAsync(disk, model, seed: 3, steps: 60, isOverlay: true);
        await AssertReadsAsync(disk, model);
        await fixture.CloseAsync(disk);
        Qcow2Fixture.AssertClean(path);
        await AssertSameAsync(fixture, path, model);
        Assert.Equal(bottomBytes, await File.ReadAllBytesAsync(bottom, TestContext.Current.CancellationToken));
    }

    /// <summary>Version 2: where nothing shows through, zeros are what is not allocated; the clusters are free again.</summary>
    [Theory]
    [InlineData(0, 131072), InlineData(65536, 1 << 20), InlineData(0, 100_000), InlineData(70_000, 1000), InlineData(1 << 20, 1 << 20), InlineData(4096, 4190208)]
    public async Task Zeros_in_version_2_take_the_place_that_the_reference_gives_them(long offset, long length)
    {
        await using var fixture = new Qcow2Fixture();
        string ours = fixture.CreateByReference("a.qcow2", "4M", "compat=0.10"), theirs = fixture.CreateByReference("b.qcow2", "4M", "compat=0.10");
        foreach (string path in new[] { ours, theirs }) ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 256k", path);
        BlockBackend disk = await fixture.OpenAsync(ours);
        await disk.WriteZeroesAsync(offset, length);
        await fixture.CloseAsync(disk);
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", $"write -z {offset} {length}", theirs);
        Qcow2Fixture.AssertClean(ours);
        Assert.Equal(ReferenceTool.AllocatedRanges(theirs), ReferenceTool.AllocatedRanges(ours));
        ReferenceTool.Run("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", ours, theirs);
    }

    /// <summary>A version 2 image that is opened without the backing file it names: what is zeroed must not show that file's data tomorrow.</summary>
    [Fact]
    public async Task Zeros_in_version_2_are_data_while_the_backing_file_is_left_out()
    {
        await using var fixture = new Qcow2Fixture();
        string bottom = fixture.CreateByReference("base.qcow2", "1M");
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 1M", bottom);
        string path = fixture.CreateByReference("top.qcow2", "1M", "compat=0.10", backing: bottom);
        BlockBackend disk = await fixture.OpenAsync(path, options: new JsonObject { ["backing"] = null });
        await disk.WriteZeroesAsync(0, 1 << 20);
        await disk.DiscardAsync(0, 1 << 20);
        await fixture.CloseAsync(disk);
        await AssertSameAsync(fixture, path, new byte[1 << 20]);
    }

    [Fact]
    public async Task Concurrent_writers_of_one_cluster_lose_none_of_their_writes()
    {
        await using var fixture = new Qcow2Fixture();
        const int size = 16 << 20;
        string path = fixture.CreateByReference("a.qcow2", size.ToString());
        byte[] model = new byte[size];
        BlockBackend disk = await fixture.OpenAsync(path);
        await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
        {
            byte[] buffer = new byte[4096];
            var random = new Random(worker);
            for (int i = 0; i < 500; i++)
            {
                int at = (random.Next(size / 4096 / 8) * 8 + worker) * 4096;   // each worker has its own eighth of every 32 KiB
                random.NextBytes(buffer);
                await disk.WriteAsync(at, buffer);
                buffer.CopyTo(model, at);
                if (i % 100 == 0) await disk.FlushAsync();
            }
        })));
        await AssertReadsAsync(disk, model);
        await fixture.CloseAsync(disk);
        Qcow2Fixture.AssertClean(path);
        await AssertSameAsync(fixture, path, model);
    }

    [Theory]
    [InlineData(65536, false)]
    [InlineData(4096, true)]
    [InlineData(512, true)]
    public async Task Neighbours_in_one_cluster_write_zero_and_discard_without_hurting_each_other(int clusterSize, bool smallCache)
    {
        await using var fixture = new Qcow2Fixture();
        const int size = 8 << 20, unit = 1536, workers = 6;
        string path = fixture.CreateByReference("a.qcow2", size.ToString(), $"cluster_size={clusterSize}");
        JsonObject options = smallCache ? new() { ["l2-cache-size"] = 2048, ["l2-cache-entry-size"] = 512 } : [];
        BlockBackend disk = await fixture.OpenAsync(path, options: options);
        await Task.WhenAll(Enumerable.Range(0, workers).Select(worker => Task.Run(async () =>
        {
            byte[] mine = new byte[size / unit], buffer = new byte[unit], expected = new byte[unit];
            var random = new Random(worker);
            for (int i = 0; i < 1500; i++)
            {
                // Each worker owns every sixth unit: neighbours share sectors' clusters, never bytes.
                int slot = random.Next(size / unit / workers) * workers + worker;
                expected.AsSpan().Fill(mine[slot]);
                await disk.ReadAsync(slot * unit, buffer);
                Assert.True(buffer.AsSpan().SequenceEqual(expected), $"worker {worker} step {i} slot {slot}");
                switch (random.Next(6))
                {
                    case 0:
                        await disk.WriteZeroesAsync(slot * unit, unit, random.Next(2) == 0 ? ZeroFlags.MayUnmap : ZeroFlags.None);
                        mine[slot] = 0;
                        break;
                    case 1:
                        await disk.DiscardAsync(slot * unit, unit);
                        await disk.WriteZeroesAsync(slot * unit, unit);
                        mine[slot] = 0;
                        break;
                    case 2 when i % 50 == 0:
                        await disk.FlushAsync();
                        break;
                    default:
                        mine[slot] = (byte)random.Next(1, 256);
                        buffer.AsSpan().Fill(mine[slot]);
                        await disk.WriteAsync(slot * unit, buffer);
                        break;
                }
            }
        })));
        await fixture.CloseAsync(disk);
        Qcow2Fixture.AssertClean(path);
    }

    [Fact]
    public async Task A_hit_allocates_nothing()
    {
        await using var fixture = new Qcow2Fixture();
        string path = fixture.CreateByReference("a.qcow2", "1M");
        BlockBackend disk = await fixture.OpenAsync(path);
        byte[] buffer = new byte[4096];
        for (int i = 0; i < 256; i++) await disk.WriteAsync(i * 4096, buffer);
        for (int i = 0; i < 256; i++) await disk.ReadAsync(i * 4096, buffer);
        long least = long.MaxValue;
        for (int round = 0; round < 10 && least > 0; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 256; i++)
            {
                await disk.WriteAsync(i * 4096, buffer);
                await disk.ReadAsync(i * 4096, buffer);
            }

            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        // A busy host may make a round wait for its file, and waiting costs; a round of hits costs nothing.
        Assert.Equal(0, least);
    }

    private static async Task WriteRandomlyAsync(BlockBackend disk, byte[] model, int seed, int steps, bool isOverlay = false)
    {
        var random = new Random(seed);
        for (int step = 0; step < steps; step++)
        {
            int at = random.Next(model.Length);
            int length = Math.Min(model.Length - at, random.Next(4) == 0 ? random.Next(1, 700_000) : random.Next(1, 9000));
            switch (random.Next(8))
            {
                case 0:
                    await disk.WriteZeroesAsync(at, length, random.Next(2) == 0 ? ZeroFlags.MayUnmap : ZeroFlags.None);
                    model.AsSpan(at, length).Clear();
                    break;
                case 1 when !isOverlay:
                    // What a discarded range reads is nobody's promise: the model takes over what is there.
                    await disk.DiscardAsync(at, length);
                    await disk.ReadAsync(at, model.AsMemory(at, length));
                    break;
                case 2:
                    await disk.FlushAsync();
                    break;
                default:
                    byte[] data = new byte[length];
                    random.NextBytes(data);
                    await disk.WriteAsync(at, data);
                    data.CopyTo(model, at);
                    break;
            }
        }
    }

    private static async Task AssertReadsAsync(BlockBackend disk, byte[] model)
    {
        byte[] actual = new byte[model.Length];
        await disk.ReadAsync(0, actual);
        Assert.Equal(-1, FirstDifference(model, actual));
    }

    private static int FirstDifference(byte[] a, byte[] b)
    {
        int same = a.AsSpan().CommonPrefixLength(b);
        return same == a.Length ? -1 : same;
    }

    private static async Task AssertSameAsync(Qcow2Fixture fixture, string path, byte[] model)
    {
        string raw = fixture.Directory["model.raw"];
        await File.WriteAllBytesAsync(raw, model);
        ReferenceTool.Run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, path);
    }
}
