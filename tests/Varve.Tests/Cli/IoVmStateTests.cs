namespace Varve.Tests.Cli;

public sealed class IoVmStateTests : IDisposable
{
    private readonly ImgFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("cluster_size=64k")]
    [InlineData("cluster_size=512")]
    [InlineData("extended_l2=on")]
    public async Task Machine_state_lies_beside_the_disk_and_does_not_touch_it(string options)
    {
        string image = _folder["t.qcow2"];
        Assert.Equal(0, (await ToolRun.ImgAsync("create", "-q", "-f", "qcow2", "-o", options, image, "4M")).ExitCode);
        ToolRun run = await ToolRun.IoAsync(
            ["-f", "qcow2", .. new[]
            {
                "write -P 1 0 1M", "write -b -P 2 0 512k", "write -b -P 3 1M 4k", "read -P 1 0 1M", "read -b -P 2 0 512k", "read -b -P 3 1M 4k", "read -b -P 0 512k 512k",
            }.SelectMany(c => new[] { "-c", c }), image]);
        Assert.Equal("", run.Error);
        Assert.Equal(0, run.ExitCode);
        ToolRun reference = await ToolRun.ReferenceAsync(
            "qemu-io", "-f", "qcow2", "-c", "read -P 1 0 1M", "-c", "read -b -P 2 0 512k", "-c", "info", image);
        Assert.Equal(0, reference.ExitCode);
        string place = reference.Output.Split('\n').Single(l => l.StartsWith("vm state offset", StringComparison.Ordinal));
        Assert.Contains(place, (await ToolRun.IoAsync(["-f", "qcow2", "-c", "info", image])).Output, StringComparison.Ordinal);
    }
}
