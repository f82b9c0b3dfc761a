using System.Diagnostics;
using Varve.Tests.Support;

namespace Varve.Tests.Cli;

/// <summary>Images written to what an NBD server offers: it is there already, and only has to be large enough.</summary>
public sealed class NbdTargetTests : IAsyncLifetime
{
    private readonly TempDirectory _folder = new();
    private Process? _server;

    private string Url => $"nbd+unix:///?socket={_folder["socket"]}";

    public async ValueTask InitializeAsync()
    {
        string disk = _folder.File("disk", 4 << 20);
        await File.WriteAllBytesAsync(disk, [.. Enumerable.Repeat((byte)0xaa, 4 << 20)], TestContext.Current.CancellationToken);
        _server = Tool.Start("qemu-nbd", "-t", "-f", "raw", "-k", _folder["socket"], disk);
        while (!File.Exists(_folder["socket"])) await Task.Delay(10, TestContext.Current.CancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        _server!.Kill();
        await _server.WaitForExitAsync();
        _server.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [InlineData("create -f raw URL 4M")]
    [InlineData("create -f raw URL 2M")]
    [InlineData("create -f raw URL 5M")]
    [InlineData("create -f nbd URL 2M")]
    [InlineData("create -f raw -o preallocation=off URL 1M")]
    [InlineData("create -f raw -o preallocation=full URL 1M")]
    [InlineData("create -f raw -o preallocation=foo URL 1M")]
    [InlineData("create -f raw -o nocow=on URL 1M")]
    [InlineData("create -f raw -o help URL")]
    [InlineData("create -f qcow2 URL 64M")]
    [InlineData("create -f qcow2 -o preallocation=full URL 1M")]
    [InlineData("create --object secret,id=s,data=x -f luks -o iter-time=10,key-secret=s URL 1M")]
    [InlineData("create -f raw nbd+unix:///?socket=/nowhere/socket 1M")]
    [InlineData("create -f qcow2 nbd+unix:///?socket=/nowhere/socket 1M")]
    [InlineData("create -f nbd foo 1M")]
    [InlineData("convert -U -O raw SOURCE nbd+unix:///?socket=/nowhere/socket")]
    [InlineData("dd -U -O raw if=SOURCE of=nbd+unix:///?socket=/nowhere/socket")]
    public async Task Creating_there_prints_and_returns_what_the_reference_does(string line)
    {
        string[] arguments = [.. line.Split(' ').Select(a => a.Replace("URL", Url, StringComparison.Ordinal).Replace("SOURCE", _folder["disk"], StringComparison.Ordinal))];
        Assert.Equal(await ToolRun.ReferenceAsync("qemu-img", arguments), await ToolRun.ImgAsync(arguments));
    }

    [Fact]
    public async Task What_would_be_taken_for_a_header_is_gone_and_the_rest_stays()
    {
        Assert.Equal(0, (await ToolRun.ImgAsync("create", "-q", "-f", "raw", Url, "2M")).ExitCode);
        byte[] disk = await File.ReadAllBytesAsync(_folder["disk"], TestContext.Current.CancellationToken);
        Assert.Equal((0, 0xaa), (disk[511], disk[512]));
    }

    [Theory]
    [InlineData("raw")]
    [InlineData("qcow2")]
    public async Task A_converted_image_reads_the_same_whatever_the_export_held_before(string format)
    {
        string source = _folder.File("source", 2 << 20);
        await using (FileStream data = File.OpenWrite(source)) data.Write([.. Enumerable.Repeat((byte)3, 1 << 20)]);
        ToolRun run = await ToolRun.ImgAsync("convert", "-f", "raw", "-O", format, source, Url);
        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        byte[] disk = await File.ReadAllBytesAsync(_folder["disk"], TestContext.Current.CancellationToken);
        if (format == "raw") Assert.Equal(await File.ReadAllBytesAsync(source, TestContext.Current.CancellationToken), disk[..(2 << 20)]);
        else Assert.Equal("Images are identical.\n", (await ToolRun.ReferenceAsync("qemu-img", "compare", "-f", "raw", "-F", "qcow2", source, Url)).Output);
    }
}
