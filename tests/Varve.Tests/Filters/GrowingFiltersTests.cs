using Varve.Tests.Cli;

namespace Varve.Tests.Filters;

/// <summary><c>compress</c> and <c>preallocate</c>: what they leave in the files below them.</summary>
public sealed class GrowingFiltersTests : IDisposable
{
    private readonly ImgFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task What_is_written_through_compress_is_compressed()
    {
        string image = _folder["c.qcow2"];
        Assert.Equal(0, (await ToolRun.ImgAsync("create", "-q", "-f", "qcow2", image, "1000k")).ExitCode);
        string options = $"driver=compress,file.driver=qcow2,file.file.filename={image}";
        ToolRun run = await ToolRun.IoAsync(["--image-opts", options, "-c", "write -P 3 0 64k", "-c", "write -P 4 70000 512", "-c", "write -P 5 960k 40k", "-c", "read -P 4 70000 512"]);
        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        ToolRun check = await ToolRun.ReferenceAsync("qemu-img", "check", image);
        Assert.Contains("100.00% compressed", check.Output, StringComparison.Ordinal);
        Assert.Equal(0, (await ToolRun.ReferenceAsync("qemu-io", "-f", "qcow2", "-c", "read -P 3 0 64k", "-c", "read -P 4 70000 512", "-c", "read -P 5 960k 40k", image)).ExitCode);
    }

    [Fact]
    public async Task Compress_needs_a_format_that_compresses()
    {
        string options = $"driver=compress,file.driver=raw,file.file.filename={_folder.Raw("a", 1.MiB)}";
        Assert.Equal(await ToolRun.ReferenceAsync("qemu-io", "--image-opts", options, "-c", "length"), await ToolRun.IoAsync(["--image-opts", options, "-c", "length"]));
    }

    [Fact]
    public async Task A_file_grows_ahead_of_its_writes_and_is_cut_when_it_is_closed()
    {
        string image = _folder["p.qcow2"];
        Assert.Equal(0, (await ToolRun.ImgAsync("create", "-q", "-f", "qcow2", image, "64M")).ExitCode);
        string options = $"driver=qcow2,file.driver=preallocate,file.prealloc-size=16M,file.file.filename={image}";
        ToolRun run = await ToolRun.IoAsync(
            ["--image-opts", options, "-c", "write -P 1 0 1M", "-c", "write -P 2 10M 1M", "-c", "discard 10M 1M", "-c", "write -P 3 30M 2M", "-c", "read -P 1 0 1M", "-c", "read -P 3 30M 2M"]);
        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        Assert.InRange(new FileInfo(image).Length, 3.MiB, 6.MiB);
        Assert.Equal(0, (await ToolRun.ReferenceAsync("qemu-img", "check", image)).ExitCode);
        Assert.Equal(0, (await ToolRun.ReferenceAsync("qemu-io", "-f", "qcow2", "-c", "read -P 3 30M 2M", image)).ExitCode);
    }

    [Theory]
    [InlineData("prealloc-align=100")]
    [InlineData("prealloc-align=0")]
    public async Task Steps_that_are_no_sectors_are_refused(string step)
    {
        string options = $"driver=preallocate,{step},file.filename={_folder.Raw("a", 1.MiB)},file.driver=file";
        Assert.Contains("parameter of preallocate filter is not aligned to 512", (await ToolRun.IoAsync(["--image-opts", options, "-c", "length"])).Error, StringComparison.Ordinal);
    }
}
