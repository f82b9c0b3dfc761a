using Varve.Graph;
using Varve.Nbd.Server;
using Varve.Nbd.Wire;
using Varve.Tests.Support;

namespace Varve.Tests.Nbd;

public class ExportRegistryTests
{
    [Fact]
    public async Task Exports_are_listed_newest_first()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await AddAsync(server, o => o with { Id = "second", Name = "b" });
        Assert.Equal(
            [new BlockExportInfo("second", "nbd", "disk", false), new BlockExportInfo("export", "nbd", "disk", false)], server.Exports.Query());
    }

    [Theory]
    [InlineData("#invalid", "b", "Invalid block export id")]
    [InlineData("", "b", "Invalid block export id")]
    [InlineData("1st", "b", "Invalid block export id")]
    [InlineData("export", "b", "Block export id 'export' is already in use")]
    [InlineData("second", "disk", "NBD server already has export named 'disk'")]
    public async Task An_export_that_cannot_be_is_refused_in_the_references_words(string id, string name, string message)
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        var refusal = await Assert.ThrowsAsync<BlockException>(() => AddAsync(server, o => o with { Id = id, Name = name }));
        Assert.Equal(message, refusal.Message);
        Assert.Single(server.Exports.Query());
        Assert.Single(server.Memory.Parents);   // the refused one let go of the node
    }

    [Fact]
    public async Task Texts_over_4096_bytes_are_refused()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        string text = new('x', 4097);
        Assert.Equal($"export name '{text}' too long", (await Assert.ThrowsAsync<BlockException>(() => AddAsync(server, o => o with { Name = text }))).Message);
        Assert.Equal($"description '{text}' too long", (await Assert.ThrowsAsync<BlockException>(() => AddAsync(server, o => o with { Description = text }))).Message);
        await AddAsync(server, o => o with { Name = text[1..], Description = text[1..] });
    }

    [Fact]
    public async Task Without_a_server_there_are_no_exports()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await server.ControlAsync(() => server.Exports.StopNbdServerAsync().AsTask());
        Assert.Equal(["export"], server.Deleted);
        Assert.Equal("NBD server not running", (await Assert.ThrowsAsync<BlockException>(() => AddAsync(server, o => o))).Message);
        Assert.Equal("NBD server not running", (await Assert.ThrowsAsync<BlockException>(
            () => server.ControlAsync(() => server.Exports.StopNbdServerAsync().AsTask()))).Message);
        Assert.False(File.Exists(server.SocketPath));
    }

    [Fact]
    public async Task A_second_server_is_refused()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        Assert.Equal("NBD server already running", Assert.Throws<BlockException>(server.Exports.CheckNoNbdServer).Message);
    }

    [Fact]
    public async Task A_read_only_node_is_not_exported_writable()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(
            new System.Text.Json.Nodes.JsonObject { ["driver"] = "memory", ["node-name"] = "disk", ["read-only"] = true });
        Assert.Equal("Cannot export read-only node as writable", (await Assert.ThrowsAsync<BlockException>(() => AddAsync(server, o => o))).Message);
        await AddAsync(server, o => o with { Writable = false });
    }

    [Fact]
    public async Task An_export_asks_for_what_it_needs_and_keeps_the_length()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        BlockChild root = Assert.Single(server.Memory.Parents);
        Assert.Equal(BlockPermissions.ConsistentRead | BlockPermissions.Write, root.Permissions);
        Assert.Equal(BlockPermissions.All & ~BlockPermissions.Resize, root.Shared);

        var jealous = await server.ControlAsync(() => server.Graph.OpenBackendAsync(
            server.Memory, BlockPermissions.None, BlockPermissions.All).AsTask());
        await server.ControlAsync(() => jealous.CloseAsync().AsTask());
        await server.RemoveAsync("export");
        await Deleted(server, "export");
        jealous = await server.ControlAsync(() => server.Graph.OpenBackendAsync(
            server.Memory, BlockPermissions.ConsistentRead, BlockPermissions.ConsistentRead, "jealous owner").AsTask());
        var refusal = await Assert.ThrowsAsync<BlockException>(() => AddAsync(server, o => o));
        Assert.Equal(
            "Permission conflict on node 'disk': permissions 'write' are both required by an unnamed block device (uses node 'disk' as 'root' child) "
            + "and unshared by jealous owner (uses node 'disk' as 'root' child).", refusal.Message);
        await AddAsync(server, o => o with { Writable = false });
        await server.ControlAsync(() => jealous.CloseAsync().AsTask());
    }

    [Fact]
    public async Task A_safe_removal_waits_for_nobody_it_is_refused_while_clients_are_there()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        Assert.Equal("Export 'nobody' is not found", (await Assert.ThrowsAsync<BlockException>(() => server.RemoveAsync("nobody"))).Message);
        using (NbdTestClient client = await (await server.ConnectAsync()).GoAsync())
        {
            Assert.Equal("export 'export' still in use", (await Assert.ThrowsAsync<BlockException>(() => server.RemoveAsync("export"))).Message);
            Assert.Equal(NbdError.None, (await client.StructuredAsync(CommandType.Flush)).Error);
            await client.SendAsync(NbdTestClient.Request(CommandType.Disconnect, 1));
            Assert.True(await client.IsDroppedAsync());
        }

        await Patience.UntilAsync(() => server.Exports.Find("export")!.ConnectionCount == 0, "the client is gone");
        await server.RemoveAsync("export");
        await Deleted(server, "export");
        Assert.Empty(server.Exports.Query());
        using NbdTestClient late = await (await server.ConnectAsync()).GreetAsync();
        Assert.Equal(OptionReplyType.ErrorUnknown, (await late.OptionAsync(OptionType.Go, NbdTestClient.InfoData("disk")))[^1].Type);
    }

    [Fact]
    public async Task A_hard_removal_lets_clients_go_after_their_requests_in_flight()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        server.Memory.OnRequest = async (_, _, _) =>
        {
            begun.TrySetResult();
            await gate.Task;
        };
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync();
        await client.SendAsync([.. NbdTestClient.Request(CommandType.Write, 1, 0, 4096), .. new byte[4096]]);
        await begun.Task;

        await server.RemoveAsync("export", ExportRemoveMode.Hard);

        Assert.Equal(new BlockExportInfo("export", "nbd", "disk", IsShuttingDown: true), Assert.Single(server.Exports.Query()));
        Assert.Equal("Export 'export' is already shutting down", (await Assert.ThrowsAsync<BlockException>(() => server.RemoveAsync("export"))).Message);
        Assert.True(await client.IsDroppedAsync());
        Assert.Empty(server.Deleted);
        gate.SetResult();
        await Deleted(server, "export");
        Assert.Empty(server.Memory.Parents);
    }

    [Fact]
    public async Task An_export_can_come_and_go_under_the_clients_of_another()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync();
        for (int i = 0; i < 20; i++)
        {
            await AddAsync(server, o => o with { Id = $"e{i}", Name = "other" });
            using NbdTestClient other = await (await server.ConnectAsync()).GoAsync("other");
            Assert.Equal(NbdError.None, (await client.StructuredAsync(CommandType.Write, 4096 * i, 4096, data: [.. Enumerable.Repeat((byte)i, 4096)])).Error);
            Assert.Equal(NbdError.None, (await other.StructuredAsync(CommandType.Read, 4096 * i, 4096)).Error);
            await server.RemoveAsync($"e{i}", ExportRemoveMode.Hard);
            await Deleted(server, $"e{i}");
        }
    }

    [Fact]
    public async Task Clients_of_several_connections_see_each_others_writes()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient first = await (await server.ConnectAsync()).GoAsync();
        using NbdTestClient second = await (await server.ConnectAsync()).GoAsync();
        Assert.True(first.Flags.HasFlag(TransmissionFlags.CanMultiConn));
        for (byte i = 1; i < 50; i++)
        {
            await first.StructuredAsync(CommandType.Write, 0, 512, data: [.. Enumerable.Repeat(i, 512)]);
            Assert.Equal(i, (await second.StructuredAsync(CommandType.Read, 0, 512)).Payload[8]);
        }
    }

    private static Task<NbdExport> AddAsync(NbdTestServer server, Func<NbdExportOptions, NbdExportOptions> change)
        => server.ControlAsync(() => server.Exports.AddAsync(
            change(new NbdExportOptions { Id = "new", Name = "new", Node = server.Memory, Writable = true })).AsTask());

    private static Task Deleted(NbdTestServer server, string id) => Patience.UntilAsync(() => server.Deleted.Contains(id), $"export {id} is deleted");
}
