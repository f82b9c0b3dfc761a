using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Varve.Compatibility.Stream;

/// <summary>The header cannot be written: the job fails, and nothing else has happened.</summary>
public sealed class HeaderWriteFailureTests
{
    [Theory]
    [InlineData(5, "Input/output error")]
    [InlineData(28, "No space left on device")]
    public async Task A_write_error_leaves_header_graph_and_client_as_they_were(int errno, string message)
        => await FailAsync(
            "file.driver=blkdebug,file.node-name=debug,file.image.driver=file,file.image.filename=top.qcow2,"
            + $"file.inject-error.0.event=none,file.inject-error.0.iotype=write,file.inject-error.0.sector=0,file.inject-error.0.errno={errno}",
            "base.qcow2", message);

    [Fact]
    public async Task A_name_over_1023_bytes_leaves_header_graph_and_client_as_they_were()
        => await FailAsync("file.driver=file,file.filename=top.qcow2", new string('n', 1024), "Invalid argument");

    private static async Task FailAsync(string file, string backingFile, string message)
    {
        Tool.Require(Tool.QemuImg, Tool.QemuIO, Tool.VarveDaemon, Tool.Fio);
        using var home = new TempDirectory();
        await Chain.MakeAsync(home.ToString(), size: 64 << 20);
        string top = home["top.qcow2"], socket = home["nbd.sock"];

        await using DaemonProcess daemon = await DaemonProcess.StartAsync(Tool.VarveDaemon, home,
        [
            "--blockdev", $"driver=qcow2,node-name=top,{file}",
            "--nbd-server", $"addr.type=unix,addr.path={socket}",
            "--export", "nbd,id=disk,node-name=top,writable=on",
        ]);
        byte[] header = Chain.Header(top);
        string graph = await GraphAsync(daemon);

        // A client that verifies what it reads, from before the stream until after it has failed.
        Task<ToolResult> client = Tool.Fio.RunAsync(
            "--name=client", "--ioengine=nbd", $"--uri=nbd+unix:///top?socket={socket}", "--rw=randwrite", "--bs=4k", "--iodepth=32", "--size=32M",
            "--verify=crc32c", "--verify_backlog=256", "--verify_fatal=1", "--time_based", "--runtime=6", "--output-format=normal");
        await Task.Delay(1000);
        string? error = await daemon.StreamAsync("top", null, backingFile, new JsonObject { ["base"] = "base.qcow2", ["speed"] = 64 << 20 });

        Assert.Equal(message, error);
        Assert.Equal(graph, await GraphAsync(daemon));
        Assert.True(header.AsSpan().SequenceEqual(Chain.Header(top)), "the header's bytes changed");

        ToolResult verified = await client;
        Assert.True(verified.ExitCode == 0, verified.Output + verified.Error);
        Assert.Contains("err= 0", verified.Output, StringComparison.Ordinal);
        (int exitCode, string errors) = await daemon.TerminateAsync();
        Assert.Equal((0, ""), (exitCode, errors));
        Assert.Equal("mid.qcow2", await Chain.RecordedAsync(top));
        Assert.Equal(0, (await Tool.QemuImg.RunAsync("check", top)).ExitCode);
    }

    /// <summary>query-named-block-nodes without what rightly changes under a writing client: sizes on disk, allocation counters.</summary>
    private static async Task<string> GraphAsync(DaemonProcess daemon)
    {
        JsonNode nodes = (await daemon.ExecuteAsync("query-named-block-nodes"))!;
        Forget(nodes);
        return nodes.ToJsonString();

        static void Forget(JsonNode? node)
        {
            if (node is JsonArray array)
            {
                foreach (JsonNode? item in array) Forget(item);
            }
            else if (node is JsonObject members)
            {
                members.Remove("actual-size");
                if ((string?)members["format"] is "file" or "blkdebug") members.Remove("virtual-size");
                foreach ((string _, JsonNode? value) in members) Forget(value);
            }
        }
    }
}
