using System.Text.Json.Nodes;

namespace Varve.Compatibility.Stream;

/// <summary>The daemon is killed in the middle of a stream under writes, again and again.</summary>
public sealed class KillTests
{
    private const int Moments = 50;

    [Fact]
    public async Task After_kill_9_at_random_moments_the_image_opens_checks_clean_and_holds_every_flushed_write()
    {
        Tool.Require(Tool.QemuImg, Tool.QemuIO, Tool.VarveDaemon);
        using var home = new TempDirectory();
        const long size = 32 << 20;
        await Chain.MakeAsync(home["pristine"], size);
        var random = new Random(20261122);

        for (int moment = 0; moment < Moments; moment++)
        {
            foreach (string name in new[] { "base", "mid", "top" }) File.Copy(home[$"pristine/{name}.qcow2"], home[$"{name}.qcow2"], overwrite: true);
            await KillOnceAsync(home, size, TimeSpan.FromMilliseconds(random.Next(0, 250)), seed: random.Next());
        }
    }

    private static async Task KillOnceAsync(TempDirectory home, long size, TimeSpan delay, int seed)
    {
        string top = home["top.qcow2"], socket = home[$"nbd{seed}"];
        FlushingWriter writer;
        await using (DaemonProcess daemon = await StartAsync(home, socket))
        {
            writer = new FlushingWriter(socket, "top", size, seed);
            await daemon.ExecuteAsync("block-stream", StreamArguments());
            await Task.Delay(delay);
            await daemon.KillAsync();
            await writer.Ended;
        }

        ToolResult check = await Tool.QemuImg.RunAsync("check", "--output=json", top);
        JsonNode found = JsonNode.Parse(check.Output)!;
        Assert.True(found["corruptions"] is null && (int)found["check-errors"]! == 0, $"seed {seed}: {check.Output}{check.Error}");
        await writer.AssertFlushedWritesAsync(top, seed);

        await using (DaemonProcess daemon = await StartAsync(home, socket + "b"))
        {
            string? recorded = await Chain.RecordedAsync(top);
            if (recorded == "mid.qcow2")
            {
                await daemon.ExecuteAsync("block-stream", StreamArguments());
                Assert.Null(await daemon.ConcludeAsync("stream0"));
            }

            Assert.Equal(0, (await daemon.TerminateAsync()).ExitCode);
        }

        Assert.Equal("base.qcow2", await Chain.RecordedAsync(top));
        await writer.AssertFlushedWritesAsync(top, seed);
    }

    private static JsonObject StreamArguments() => new()
    {
        ["job-id"] = "stream0", ["device"] = "top", ["base"] = "base.qcow2", ["backing-file"] = "base.qcow2",
        ["speed"] = 100 << 20, ["auto-dismiss"] = false,
    };

    private static Task<DaemonProcess> StartAsync(TempDirectory home, string socket) => DaemonProcess.StartAsync(Tool.VarveDaemon, home,
    [
        "--blockdev", "driver=qcow2,node-name=top,file.driver=file,file.filename=top.qcow2",
        "--nbd-server", $"addr.type=unix,addr.path={socket}",
        "--export", "nbd,id=disk,node-name=top,writable=on",
    ]);
}
