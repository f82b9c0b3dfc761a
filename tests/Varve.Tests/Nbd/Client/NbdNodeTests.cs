using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Nbd.Server;

namespace Varve.Tests.Nbd.Client;

/// <summary>The driver against our own server.</summary>
public class NbdNodeTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Random_requests_in_parallel_leave_what_a_byte_array_would_hold(int seed)
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await using OpenedExport disk = await OpenedExport.OpenAsync(server);
        await RandomRequests.RunAsync(disk.Backend, size: 1 << 20, seed);
    }

    [Fact]
    public async Task Requests_larger_than_the_server_takes_are_cut()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(size: 70 << 20);
        await using OpenedExport disk = await OpenedExport.OpenAsync(server);
        var data = new byte[(66 << 20) + 3];
        new Random(5).NextBytes(data);
        await disk.Backend.WriteAsync(1, data);
        var read = new byte[data.Length];
        await disk.Backend.ReadAsync(1, read);
        Assert.True(read.AsSpan().SequenceEqual(data));
    }

    [Fact]
    public async Task Holes_and_zeros_of_the_servers_image_are_seen()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(new JsonObject { ["driver"] = "null-co", ["node-name"] = "disk", ["size"] = 1L << 20, ["read-zeroes"] = true });
        await server.ControlAsync(() => server.Exports.AddAsync(new NbdExportOptions { Id = "export", Node = server.Graph.FindNode("disk")! }).AsTask());
        await using OpenedExport disk = await OpenedExport.OpenAsync(server, o => o["read-only"] = true);
        BlockStatus status = await disk.Backend.RunAsync((node, _, token) => node.GetStatusAsync(512, 1 << 19, precise: true, token), 0);
        Assert.True(status.IsZero);
        Assert.False(status.IsData);
        Assert.Equal((1 << 19, 512L), (status.Length, status.HostOffset));
    }

    [Fact]
    public async Task A_read_only_export_is_opened_for_reading_only()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(export: o => o with { Writable = false });
        BlockException refused = await Assert.ThrowsAsync<BlockException>(() => OpenedExport.OpenAsync(server));
        Assert.Equal(Errno.EACCES, refused.Errno);
        await using OpenedExport disk = await OpenedExport.OpenAsync(server, o => o["auto-read-only"] = true, BlockPermissions.ConsistentRead);
        Assert.True(disk.Backend.Node.IsReadOnly);
    }

    [Fact]
    public async Task An_unknown_export_is_refused_with_what_the_server_says()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        BlockException refused = await Assert.ThrowsAsync<BlockException>(() => OpenedExport.OpenAsync(server, o => o["export"] = "nobody"));
        Assert.Equal("Requested export not available", refused.Message);
        Assert.Equal("server reported: export 'nobody' not present", refused.Hint);
    }

    [Theory]
    [InlineData("""{"server":{"type":"unix","path":"SOCKET"},"export":"disk"}""", "nbd+unix:///disk?socket=SOCKET")]
    [InlineData("""{"path":"SOCKET","export":"disk"}""", "nbd+unix:///disk?socket=SOCKET")]
    [InlineData("""{"server":{"type":"unix","path":"SOCKET"},"export":"disk","reconnect-delay":5}""", "nbd+unix:///disk?socket=SOCKET")]
    public async Task The_node_is_named_by_the_uri_that_opens_it(string options, string name)
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await using OpenedExport disk = await OpenedExport.OpenAsync(JsonNode.Parse(options.Replace("SOCKET", server.SocketPath, StringComparison.Ordinal))!.AsObject());
        Assert.Equal(name.Replace("SOCKET", server.SocketPath, StringComparison.Ordinal), disk.Backend.Node.Filename);
    }

    [Fact]
    public async Task Inside_a_description_the_address_is_shown_with_dotted_keys()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        var options = new JsonObject
        {
            ["driver"] = "raw",
            ["offset"] = 512,
            ["file"] = new JsonObject { ["driver"] = "nbd", ["export"] = "disk", ["server"] = new JsonObject { ["type"] = "unix", ["path"] = server.SocketPath } },
        };
        await using OpenedExport disk = await OpenedExport.OpenAsync(options);
        Assert.Equal(
            "json:{\"offset\": 512, \"driver\": \"raw\", \"file\": {\"server.path\": \"" + server.SocketPath
                + "\", \"driver\": \"nbd\", \"export\": \"disk\", \"server.type\": \"unix\"}}",
            disk.Backend.Node.Filename);
    }

    [Fact]
    public async Task An_error_of_the_servers_disk_arrives_as_the_same_error()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(new JsonObject
        {
            ["driver"] = "blkdebug",
            ["node-name"] = "disk",
            ["image"] = new JsonObject { ["driver"] = "null-co", ["size"] = 1L << 20 },
            ["inject-error"] = new JsonArray(
                new JsonObject { ["event"] = "none", ["errno"] = 28, ["iotype"] = "write", ["once"] = false },
                new JsonObject { ["event"] = "none", ["errno"] = 5, ["iotype"] = "flush", ["once"] = false }),
        });
        await server.ControlAsync(() => server.Exports.AddAsync(
            new NbdExportOptions { Id = "export", Node = server.Graph.FindNode("disk")!, Writable = true }).AsTask());
        await using OpenedExport disk = await OpenedExport.OpenAsync(server);
        Assert.Equal(Errno.ENOSPC, (await Assert.ThrowsAsync<BlockException>(() => disk.Backend.WriteAsync(0, new byte[512]).AsTask())).Errno);
        Assert.Equal(Errno.EIO, (await Assert.ThrowsAsync<BlockException>(() => disk.Backend.FlushAsync().AsTask())).Errno);
        await disk.Backend.ReadAsync(0, new byte[512]);   // and the connection lives
    }

    [Fact]
    public async Task A_dirty_bitmap_of_the_export_is_seen_as_the_status_of_its_blocks()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(new JsonObject { ["driver"] = "memory", ["node-name"] = "disk", ["size"] = 1L << 20 });
        await server.ControlAsync(async () =>
        {
            await Varve.Bitmaps.BitmapOperations.AddAsync(server.Memory, "b", 65536, persistent: false, disabled: false);
            return await server.Exports.AddAsync(
                new NbdExportOptions { Id = "export", Node = server.Memory, Writable = true, Bitmaps = [new ExportedBitmap("b")] });
        });
        await using OpenedExport disk = await OpenedExport.OpenAsync(server, o => o["x-dirty-bitmap"] = "qemu:dirty-bitmap:b");
        await disk.Backend.WriteAsync(100_000, new byte[100_000]);
        var runs = new List<(long Length, bool IsDirty)>();
        for (long at = 0; at < 1 << 20; at += runs[^1].Length)
        {
            BlockStatus status = await disk.Backend.RunAsync((node, offset, token) => node.GetStatusAsync(offset, (1 << 20) - offset, precise: true, token), at);
            runs.Add((status.Length, !status.IsData));   // dirty is told as a hole
        }

        Assert.Equal([(65536, false), (196608, true), ((1 << 20) - 262144, false)], runs);
        BlockException busy = await Assert.ThrowsAsync<BlockException>(
            () => server.ControlAsync(() => Varve.Bitmaps.BitmapOperations.RemoveAsync(server.Memory, "b").AsTask()));
        Assert.Equal("Bitmap 'b' is currently in use by another operation and cannot be used", busy.Message);
        BlockException missing = await Assert.ThrowsAsync<BlockException>(() => OpenedExport.OpenAsync(server, o => o["x-dirty-bitmap"] = "qemu:dirty-bitmap:c"));
        Assert.Equal("requested x-dirty-bitmap qemu:dirty-bitmap:c not found", missing.Message);
    }
}
