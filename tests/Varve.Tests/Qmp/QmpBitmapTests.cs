using System.Text.Json.Nodes;
using Varve.Qmp;

namespace Varve.Tests.Qmp;

/// <summary>Dirty bitmaps, internal snapshots and transactions over QMP; what is expected was observed of the reference's daemon.</summary>
public sealed class QmpBitmapTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("block-dirty-bitmap-add", """{"node":"n","name":""}""", "Bitmap name cannot be empty")]
    [InlineData("block-dirty-bitmap-add", """{"node":"n","name":"x","granularity":100}""", "Granularity must be power of 2 and at least 512")]
    [InlineData("block-dirty-bitmap-add", """{"node":"n","name":"x","persistent":true}""", "Can't store persistent bitmaps to n: Operation not supported")]
    [InlineData("block-dirty-bitmap-add", """{"node":"x","name":"b"}""", "Cannot find device='x' nor node-name='x'")]
    [InlineData("block-dirty-bitmap-add", """{"node":"n","name":"b"}""", "Bitmap already exists: b")]
    [InlineData("block-dirty-bitmap-remove", """{"node":"n","name":"zz"}""", "Dirty bitmap 'zz' not found")]
    [InlineData("block-dirty-bitmap-merge", """{"node":"n","target":"b","bitmaps":["zz"]}""", "Dirty bitmap 'zz' not found")]
    [InlineData("block-dirty-bitmap-merge", """{"node":"n","target":"b","bitmaps":[{"node":"m","name":"b"}]}""",
        "Bitmaps are of different sizes (destination size is 1048576, source size is 2097152) and can't be merged")]
    [InlineData("blockdev-snapshot-internal-sync", """{"device":"n","name":"s"}""",
        "Block format 'null-co' used by device 'n' does not support internal snapshots")]
    [InlineData("blockdev-snapshot-delete-internal-sync", """{"device":"n"}""", "Name or id must be provided")]
    [InlineData("blockdev-snapshot-delete-internal-sync", """{"device":"n","id":"7"}""", "Snapshot with id '7' and name 'null' does not exist on device 'n'")]
    [InlineData("transaction", """{"actions":[{"type":"abort","data":{}}]}""", "Transaction aborted using Abort action")]
    [InlineData("transaction", """{"actions":[{"type":"abort","data":{}}],"properties":{"completion-mode":"grouped"}}""",
        "Action 'abort' does not support transaction property completion-mode = grouped")]
    public async Task What_cannot_be_done_is_refused_in_the_references_words(string command, string arguments, string error)
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        await using QmpClient client = await StartAsync(host);
        QmpException refused = await Assert.ThrowsAsync<QmpException>(() => DoAsync(client, command, arguments));
        Assert.Equal((QmpException.GenericError, error), (refused.ErrorClass, refused.Message));
    }

    [Fact]
    public async Task Queries_show_bitmaps_newest_first_and_their_hash_is_of_whole_words()
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        await using QmpClient client = await StartAsync(host);
        await DoAsync(client, "block-dirty-bitmap-add", """{"node":"n","name":"c","disabled":true,"granularity":512}""");
        JsonNode node = (await DoAsync(client, "query-named-block-nodes", "{}"))!.AsArray().First(n => (string?)n!["node-name"] == "n")!;
        Assert.Equal(["c", "b"], node["dirty-bitmaps"]!.AsArray().Select(b => (string)b!["name"]!));
        Assert.True(JsonNode.DeepEquals(
            JsonNode.Parse("""{"name":"c","recording":false,"persistent":false,"busy":false,"granularity":512,"count":0}"""), node["dirty-bitmaps"]![0]));
        Assert.Equal("af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc", await HashAsync(client, "b"));
        Assert.Equal("5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1", await HashAsync(client, "c"));
    }

    [Fact]
    public async Task A_transaction_that_fails_leaves_everything_as_it_was()
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        await using QmpClient client = await StartAsync(host);
        host.Context.Graph.FindNode("n")!.Bitmaps.Find("b")!.Mark(0, 1 << 20);
        string before = await HashAsync(client, "b");
        await Assert.ThrowsAsync<QmpException>(() => DoAsync(client, "transaction", """
            {"actions":[{"type":"block-dirty-bitmap-add","data":{"node":"n","name":"t"}},{"type":"block-dirty-bitmap-merge","data":{"node":"n","target":"t","bitmaps":["b"]}},
             {"type":"block-dirty-bitmap-clear","data":{"node":"n","name":"b"}},{"type":"block-dirty-bitmap-disable","data":{"node":"n","name":"b"}},{"type":"abort","data":{}}]}
            """));
        Assert.Equal(before, await HashAsync(client, "b"));
        Assert.True(host.Context.Graph.FindNode("n")!.Bitmaps.Find("b")!.IsEnabled);
        Assert.Null(host.Context.Graph.FindNode("n")!.Bitmaps.Find("t"));
        await DoAsync(client, "transaction", """
            {"actions":[{"type":"block-dirty-bitmap-add","data":{"node":"n","name":"t"}},{"type":"block-dirty-bitmap-merge","data":{"node":"n","target":"t","bitmaps":["b"]}},
             {"type":"block-dirty-bitmap-remove","data":{"node":"n","name":"b"}}]}
            """);
        Assert.Equal(before, await HashAsync(client, "t"));
        Assert.Null(host.Context.Graph.FindNode("n")!.Bitmaps.Find("b"));
    }

    [Fact]
    public async Task An_export_holds_its_bitmaps()
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        await using QmpClient client = await StartAsync(host);
        string path = host.Directory["nbd"];
        await DoAsync(client, "nbd-server-start", """{"addr":{"type":"unix","data":{"path":"PATH"}}}""".Replace("PATH", path, StringComparison.Ordinal));
        Assert.Equal("Bitmap 'zz' is not found", await RefusedAsync(client, "block-export-add", """{"type":"nbd","id":"e","node-name":"n","bitmaps":["zz"]}"""));
        Assert.Equal(
            "Enabled bitmap 'b' incompatible with readonly export",
            await RefusedAsync(client, "block-export-add", """{"type":"nbd","id":"e","node-name":"n","bitmaps":["b"]}"""));
        await DoAsync(client, "block-export-add", """{"type":"nbd","id":"e","node-name":"n","writable":true,"bitmaps":["b"]}""");
        Assert.Equal(
            "Bitmap 'b' is currently in use by another operation and cannot be used",
            await RefusedAsync(client, "block-dirty-bitmap-clear", """{"node":"n","name":"b"}"""));
        await DoAsync(client, "nbd-server-stop", "{}");
        await DoAsync(client, "block-dirty-bitmap-clear", """{"node":"n","name":"b"}""");
    }

    private static async Task<QmpClient> StartAsync(QmpTestHost host)
    {
        QmpClient client = await host.ConnectAsync();
        await DoAsync(client, "blockdev-add", """{"driver":"null-co","node-name":"n","size":1048576}""");
        await DoAsync(client, "blockdev-add", """{"driver":"null-co","node-name":"m","size":2097152}""");
        await DoAsync(client, "block-dirty-bitmap-add", """{"node":"n","name":"b"}""");
        await DoAsync(client, "block-dirty-bitmap-add", """{"node":"m","name":"b"}""");
        return client;
    }

    private static Task<JsonNode?> DoAsync(QmpClient client, string command, string arguments)
        => client.ExecuteAsync(command, JsonNode.Parse(arguments)!.AsObject(), Cancellation);

    private static async Task<string> RefusedAsync(QmpClient client, string command, string arguments)
        => (await Assert.ThrowsAsync<QmpException>(() => DoAsync(client, command, arguments))).Message;

    private static async Task<string> HashAsync(QmpClient client, string name)
        => (string)(await DoAsync(client, "x-debug-block-dirty-bitmap-sha256", $$"""{"node":"n","name":"{{name}}"}"""))!["sha256"]!;
}
