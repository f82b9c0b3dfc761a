using System.Text.RegularExpressions;
using Varve.Tests.Support;

namespace Varve.Tests.Cli;

public sealed partial class DaemonTests
{
    [Theory]
    [InlineData("--foo")]
    [InlineData("-x")]
    [InlineData("--blockdev")]
    [InlineData("foo")]
    [InlineData("--blockdev foo")]
    [InlineData("--blockdev=foo")]
    [InlineData("--blockdev null-co")]
    [InlineData("--blockdev null-co,size=1M")]
    [InlineData("--blockdev null-co,node-name=n,bar=1")]
    [InlineData("--blockdev help")]
    [InlineData("--blockdev file,node-name=f,filename=/does/not/exist")]
    [InlineData("--export nbd,id=a")]
    [InlineData("--export nbd,id=a,node-name=b")]
    [InlineData("--export help")]
    [InlineData("--nbd-server foo")]
    [InlineData("--nbd-server help")]
    [InlineData("--nbd-server addr.type=unix,addr.path=/does/not/exist")]
    [InlineData("--monitor foo")]
    [InlineData("--chardev null,id=c --monitor c,mode=readline")]
    [InlineData("--chardev foo")]
    [InlineData("--chardev foo,id=a")]
    [InlineData("--object foo,id=a")]
    [InlineData("--object secret,id=a,data=x --object secret,id=a,data=x")]
    [InlineData("--pidfile /does/not/exist")]
    public async Task A_wrong_command_line_is_refused_in_the_references_words(string line)
    {
        string[] arguments = line.Split(' ');
        Assert.Equal(await ToolRun.ReferenceAsync("qemu-storage-daemon", arguments), await ToolRun.DaemonAsync(arguments));
    }

    [Fact]
    public async Task Help_and_version_end_it_before_anything_is_opened()
    {
        ToolRun help = await ToolRun.DaemonAsync("--blockdev", "file,node-name=f,filename=/does/not/exist", "--help");
        ToolRun version = await ToolRun.DaemonAsync("--blockdev", "file,node-name=f,filename=/does/not/exist", "-V");
        Assert.Equal((0, ""), (help.ExitCode, help.Error));
        Assert.StartsWith("Usage: qemu-storage-daemon [options]\n", help.Output, StringComparison.Ordinal);
        Assert.Matches(VersionLine(), version.Output);
    }

    [Fact]
    public async Task It_ends_clean_when_told_to_and_takes_its_PID_file_along()
    {
        using var folder = new ImgFolder();
        string pidFile = folder["pid"], socket = folder["nbd.sock"];
        using StringWriter output = new(), error = new();
        using var stop = new CancellationTokenSource();
        Task<int> daemon = new Varve.Cli.Daemon.DaemonTool(new Varve.Cli.Output.ToolConsole("qemu-storage-daemon", output, error)).RunAsync(
            ["--blockdev", "null-co,node-name=n,size=1048576", "--nbd-server", $"addr.type=unix,addr.path={socket}", "--export", "nbd,id=e,node-name=n", "--pidfile", pidFile],
            stop.Token).AsTask();
        await Patience.UntilAsync(() => File.Exists(pidFile) || daemon.IsCompleted, "the pid file is there");
        Assert.True(File.Exists(socket), error.ToString());

        await stop.CancelAsync();
        Assert.Equal((0, ""), (await daemon, error.ToString()));
        Assert.False(File.Exists(pidFile));
        Assert.False(File.Exists(socket));
    }

    [GeneratedRegex(@"\Aqemu-storage-daemon version 8\.2\.0 ")]
    private static partial Regex VersionLine();
}
