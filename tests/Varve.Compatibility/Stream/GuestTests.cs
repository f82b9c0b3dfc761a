using System.Text.Json.Nodes;

namespace Varve.Compatibility.Stream;

/// <summary>A real guest writes and verifies on the disk while its chain is reshaped.</summary>
public sealed class GuestTests
{
    [Fact]
    public async Task A_running_guest_notices_nothing_of_a_stream_that_completes()
        => await RunAsync("file.driver=file,file.filename=top.qcow2", async daemon =>
        {
            Assert.Null(await daemon.StreamAsync("top", null, "base.qcow2", new JsonObject { ["base"] = "base.qcow2", ["speed"] = 16 << 20 }));
        }, recordedAfter: "base.qcow2");

    [Fact]
    public async Task A_running_guest_notices_nothing_of_a_stream_that_is_cancelled()
        => await RunAsync("file.driver=file,file.filename=top.qcow2", async daemon =>
        {
            await daemon.ExecuteAsync("block-stream", new JsonObject
            {
                ["job-id"] = "stream0", ["device"] = "top", ["base"] = "base.qcow2", ["backing-file"] = "base.qcow2", ["speed"] = 4 << 20, ["auto-dismiss"] = false,
            });
            await Task.Delay(1500);
            await daemon.ExecuteAsync("block-job-cancel", new JsonObject { ["device"] = "stream0" });
            Assert.Equal("Operation canceled", await daemon.ConcludeAsync("stream0") ?? "Operation canceled");
        }, recordedAfter: "mid.qcow2");

    [Fact]
    public async Task A_running_guest_notices_nothing_of_a_stream_whose_header_write_fails()
        => await RunAsync(
            "file.driver=blkdebug,file.image.driver=file,file.image.filename=top.qcow2,"
            + "file.inject-error.0.event=none,file.inject-error.0.iotype=write,file.inject-error.0.sector=0",
            async daemon =>
            {
                Assert.Equal("Input/output error", await daemon.StreamAsync("top", null, "base.qcow2", new JsonObject { ["base"] = "base.qcow2", ["speed"] = 16 << 20 }));
            }, recordedAfter: "mid.qcow2");

    private static async Task RunAsync(string file, Func<DaemonProcess, Task> reshape, string recordedAfter)
    {
        Tool.Require(Tool.QemuImg, Tool.QemuIO, Tool.QemuSystem, Tool.VarveDaemon);
        Assert.SkipUnless(Guest.Kernel is not null, "not installed: linux-image-cloud-amd64");
        using var home = new TempDirectory();
        await Chain.MakeAsync(home.ToString(), size: 64 << 20);
        string top = home["top.qcow2"], socket = home["nbd.sock"];

        await using DaemonProcess daemon = await DaemonProcess.StartAsync(Tool.VarveDaemon, home,
        [
            "--blockdev", $"driver=qcow2,node-name=top,{file}",
            "--nbd-server", $"addr.type=unix,addr.path={socket}",
            "--export", "nbd,id=disk,node-name=top,writable=on",
        ]);
        string sum;
        await using (Guest guest = await Guest.BootAsync(home, $"nbd+unix:///top?socket={socket}"))
        {
            await guest.RoundsAsync(1);
            await reshape(daemon);
            await guest.RoundsAsync(2);
            sum = await guest.FinishAsync();
            Assert.Empty(guest.Complaints);
        }

        Assert.Equal(0, (await daemon.TerminateAsync()).ExitCode);
        Assert.Equal(sum, await GuestData.Sha256Async(top));
        Assert.Equal(recordedAfter, await Chain.RecordedAsync(top));
        Assert.Equal(0, (await Tool.QemuImg.RunAsync("check", top)).ExitCode);
    }
}
