using System.Text.Json.Nodes;
using Varve.Formats.Qcow2;
using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>Every request that a workload makes on the file fails once, or from then on for a while; nothing may be lost by it.</summary>
public sealed class Qcow2FaultTests
{
    private const int Size = 2 << 20;

    [Theory]
    [InlineData(512, 16, 1)]
    [InlineData(512, 64, 3)]
    [InlineData(4096, 1, 1)]
    [InlineData(65536, 16, 5)]
    public async Task Whatever_request_fails_nothing_is_corrupted_and_nothing_flushed_is_lost(int clusterSize, int refcountBits, int failures)
    {
        byte[] image = CreateImage(clusterSize, refcountBits);
        int requests = await RunAsync(image, failAt: int.MaxValue, failures: 0);
        Assert.True(requests > 50);
        for (int failAt = 0; failAt < requests; failAt += 1 + failAt / 12) await RunAsync(image, failAt, failures);
    }

    [Fact]
    public async Task Tables_that_cannot_be_read_again_after_an_amend_end_the_writing()
    {
        using var folder = new TempDirectory();
        for (int failAt = 0; failAt < 12; failAt++)
        {
            var memory = new MemoryDriver { Files = { ["a"] = new MemoryBytes(CreateImage(4096, 1)) } };
            var graph = new BlockGraph(new BlockDrivers([memory, new Qcow2Driver()]));
            BlockBackend disk = await OpenAsync(graph);
            bool isNamed = false;      // the header names the new refcounts
            int reads = 0;
            memory.OpenNodes[0].OnRequest = (kind, offset, _) =>
            {
                isNamed |= kind == "write" && offset == 0;
                return kind == "read" && isNamed && reads++ == failAt ? throw BlockException.FromErrno(Errno.EIO) : default;
            };
            try
            {
                await disk.Node.AmendAsync(new AmendRequest(new JsonObject { ["refcount-bits"] = 32 }), default);
                await disk.WriteAsync(0, new byte[100_000]);
                await disk.FlushAsync();
            }
            catch (BlockException)
            {
                // What the tables in memory do not say must not be written over.
                await Record.ExceptionAsync(async () => await disk.WriteAsync(0, new byte[100_000]));
                await Record.ExceptionAsync(async () => await disk.FlushAsync());
            }

            await File.WriteAllBytesAsync(folder["a"], memory.Files["a"].ToArray(), TestContext.Current.CancellationToken);
            (int exitCode, string output) = ReferenceTool.TryRun("qemu-img", "check", folder["a"]);
            Assert.True(exitCode is 0 or 3, $"read {failAt}: {output}");
        }
    }

    private static byte[] CreateImage(int clusterSize, int refcountBits)
    {
        using var folder = new TempDirectory();
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", "-o", $"cluster_size={clusterSize},refcount_bits={refcountBits}", folder["a"], $"{Size}");
        return File.ReadAllBytes(folder["a"]);
    }

    /// <summary>Runs the workload, with <paramref name="failures"/> requests from <paramref name="failAt"/> on failing.</summary>
    /// <returns>How many writes and flushes reached the file.</returns>
    private static async Task<int> RunAsync(byte[] image, int failAt, int failures)
    {
        var memory = new MemoryDriver { Files = { ["a"] = new MemoryBytes([.. image]) } };
        var graph = new BlockGraph(new BlockDrivers([memory, new Qcow2Driver()]));
        BlockBackend disk = await OpenAsync(graph);
        int count = 0;
        memory.OpenNodes[0].OnRequest = (kind, _, _) =>
        {
            if (kind == "read") return default;
            int number = count++;
            return number >= failAt && number < failAt + failures ? throw BlockException.FromErrno(Errno.EIO) : default;
        };

        byte[] model = new byte[Size];
        var random = new Random(1);
        for (int step = 0; step < 60; step++)
        {
            int at = random.Next(Size), length = Math.Min(Size - at, random.Next(1, random.Next(5) == 0 ? 200_000 : 5000)), what = random.Next(7);
            byte[] data = new byte[length];
            random.NextBytes(data);
            try
            {
                if (what == 0)
                {
                    data.AsSpan().Clear();
                    await disk.WriteZeroesAsync(at, length, ZeroFlags.MayUnmap);
                }
                else if (what == 1)
                {
                    await disk.FlushAsync();
                    continue;
                }
                else if (what == 2)
                {
                    (at, length) = WholeClusters(at, length, disk.Node.ClusterSize);
                    data = new byte[length];
                    data.AsSpan().Fill((byte)step);
                    await disk.WriteAsync(at, data, WriteFlags.Compressed);
                }
                else
                {
                    await disk.WriteAsync(at, data);
                }

                data.CopyTo(model, at);
            }
            catch (BlockException)
            {
                // A failed write may have written any part of its range, but nothing else.
                if (what != 1) await disk.ReadAsync(at, model.AsMemory(at, length));
            }
        }

        memory.OpenNodes[0].OnRequest = null;
        await disk.FlushAsync();
        await AssertReadsAsync(disk, model, failAt);
        await disk.CloseAsync();

        disk = await OpenAsync(graph);
        await AssertReadsAsync(disk, model, failAt);
        CheckResult check = await disk.Node.CheckAsync(CheckRepair.None, messages: null, CancellationToken.None);
        Assert.Equal((failAt, 0L, 0L), (failAt, check.Corruptions, check.CheckErrors));
        if (failures == 0) Assert.Equal(0, check.Leaks);
        await disk.CloseAsync();
        await graph.DisposeAsync();
        return count;
    }

    private static (int At, int Length) WholeClusters(int at, int length, int cluster)
        => ((int)Align.Down(at, cluster), (int)Math.Min(Align.Up(length, cluster), Size - Align.Down(at, cluster)));

    private static async Task AssertReadsAsync(BlockBackend disk, byte[] model, int failAt)
    {
        byte[] actual = new byte[Size];
        await disk.ReadAsync(0, actual);
        Assert.Equal((failAt, Size), (failAt, model.AsSpan().CommonPrefixLength(actual)));
    }

    private static async Task<BlockBackend> OpenAsync(BlockGraph graph)
    {
        var options = new JsonObject
        {
            ["driver"] = "qcow2",
            ["l2-cache-entry-size"] = 512,
            ["l2-cache-size"] = 4096,
            ["file"] = new JsonObject { ["driver"] = "memory", ["filename"] = "a" },
        };
        BlockNode node = await graph.OpenNodeAsync(options, new OpenContext(), new NodeSettings { Discard = true });
        BlockBackend backend = await graph.OpenBackendAsync(node, Qcow2Fixture.ReadWrite, BlockPermissions.ConsistentRead);
        await graph.ReleaseAsync(node);
        return backend;
    }
}
