using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Qmp;
using Varve.Tests.Support;

namespace Varve.Tests.Qmp;

/// <summary>What <c>query-blockstats</c> tells of drivers.</summary>
public sealed class QmpBlockStatsTests
{
    [Fact]
    public async Task Hits_misses_and_evictions_of_the_caches_of_qcow2_are_told()
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        await using QmpClient client = await host.ConnectAsync();
        string image = host.Directory["a.qcow2"];
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", image, "16M");
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 16M", image);
        await AddAsync(client, $$"""{"driver": "file", "node-name": "f", "filename": "{{image}}", "discard": "unmap"}""");
        await AddAsync(client, """{"driver": "qcow2", "node-name": "q", "file": "f", "discard": "unmap", "l2-cache-size": 1024, "l2-cache-entry-size": 512}""");
        await UseAsync(host, "q", async disk =>
        {
            byte[] buffer = new byte[512];
            foreach (int at in new[] { 0, 0, 4, 8, 12, 12 }) await disk.ReadAsync(at.MiB, buffer);      // 4 MiB to a slice, two slices
        });
        JsonObject specific = await SpecificAsync(client, "q");
        Assert.Equal((2, 4, 2), CountersOf(specific["l2-cache"]!));
        Assert.Equal((0, 0, 0), CountersOf(specific["refcount-cache"]!));

        await UseAsync(host, "q", disk => disk.DiscardAsync(0, 1.MiB).AsTask());
        await UseAsync(host, "q", disk => disk.FlushAsync().AsTask());
        Assert.Equal(1, CountersOf((await SpecificAsync(client, "q"))["refcount-cache"]!).Misses);
    }

    [Fact]
    public async Task Discards_of_a_file_are_counted()
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        await using QmpClient client = await host.ConnectAsync();
        await File.WriteAllBytesAsync(host.Directory["raw"], new byte[1 << 20], TestContext.Current.CancellationToken);
        foreach (string engine in new[] { "threads", "io_uring" })
        {
            await AddAsync(
                client, $$"""{"driver": "file", "node-name": "{{engine}}", "filename": "{{host.Directory["raw"]}}", "discard": "unmap", "aio": "{{engine}}", "locking": "off"}""");
            await UseAsync(host, engine, async disk =>
            {
                await disk.DiscardAsync(0, 64.KiB);
                await disk.DiscardAsync(128.KiB, 4.KiB);
            });
            JsonObject specific = await SpecificAsync(client, engine);
            Assert.Equal("file", (string?)specific["driver"]);
            bool isDone = (int)specific["discard-nb-failed"]! == 0;      // a file system that cannot fails both
            Assert.Equal((2, isDone ? 68 << 10 : 0), ((int)specific["discard-nb-ok"]! + (int)specific["discard-nb-failed"]!, (int)specific["discard-bytes-ok"]!));
        }
    }

    private static (int Hits, int Misses, int Evictions) CountersOf(JsonNode cache)
        => ((int)cache["hits"]!, (int)cache["misses"]!, (int)cache["evictions"]!);

    private static Task<JsonNode?> AddAsync(QmpClient client, string options)
        => client.ExecuteAsync("blockdev-add", JsonNode.Parse(options)!.AsObject(), TestContext.Current.CancellationToken);

    private static async Task UseAsync(QmpTestHost host, string node, Func<BlockBackend, Task> use)
    {
        BlockGraph graph = host.Context.Graph;
        using IDisposable held = await graph.ControlLock.EnterAsync();
        BlockBackend disk = await graph.OpenBackendAsync(
            graph.Nodes.Single(n => n.NodeName == node), BlockPermissions.ConsistentRead | BlockPermissions.Write, BlockPermissions.All);
        await use(disk);
        await disk.CloseAsync();
    }

    private static async Task<JsonObject> SpecificAsync(QmpClient client, string node)
    {
        JsonNode? stats = await client.ExecuteAsync("query-blockstats", new JsonObject { ["query-nodes"] = true }, TestContext.Current.CancellationToken);
        return stats!.AsArray().Single(s => (string)s!["node-name"]! == node)!["driver-specific"]!.AsObject();
    }
}
