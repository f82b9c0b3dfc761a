using Varve.Cli.Nbd;
using Varve.Cli.Output;
using Varve.Tests.Support;

namespace Varve.Tests.Cli;

public class NbdToolTests
{
    [Theory]
    [InlineData("", "Invalid number of arguments\nTry `qemu-nbd --help' for more information.")]
    [InlineData("a b", "Invalid number of arguments\nTry `qemu-nbd --help' for more information.")]
    [InlineData("-k relative x", "socket path must be absolute")]
    [InlineData("-o 2M x", "Invalid offset '2M'")]
    [InlineData("-o -1 x", "Parameter 'offset' expects a non-negative number below 2^64\nOptional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.")]
    [InlineData("-e x x", "Invalid shared device number 'x'")]
    [InlineData("-e -1 x", "Invalid shared device number '-1'")]
    [InlineData("--cache=foo x", "Invalid cache mode `foo'")]
    [InlineData("--cache=none -n x", "-n and --cache can only be specified once")]
    [InlineData("--aio=foo x", "Invalid aio mode 'foo'")]
    [InlineData("--aio=threads --aio=native x", "--aio can only be specified once")]
    [InlineData("--discard=foo x", "Invalid discard mode `foo'")]
    [InlineData("--detect-zeroes=foo x", "Failed to parse detect_zeroes mode: invalid parameter value: foo")]
    [InlineData("--detect-zeroes=unmap x", "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap")]
    [InlineData("--tls-creds=t x", "Failed to get TLS creds: No TLS credentials with id 't'")]
    [InlineData("--tls-authz=t x", "--tls-authz is not permitted without --tls-creds")]
    [InlineData("--tls-hostname=t x", "--tls-hostname is not permitted without --tls-creds")]
    [InlineData("-L x", "List mode is incompatible with a file name")]
    [InlineData("-L -x name", "List mode is incompatible with per-device settings")]
    [InlineData("-L --fork", "List mode is incompatible with forking")]
    [InlineData("-L -k /nowhere/socket", "Failed to connect to '/nowhere/socket': No such file or directory")]
    [InlineData("-c /dev/nbd0 x", "The kernel's NBD devices (-c, -d) are not supported: serve a socket and connect it with nbd-client")]
    [InlineData("-d /dev/nbd0", "The kernel's NBD devices (-c, -d) are not supported: serve a socket and connect it with nbd-client")]
    [InlineData("--selinux-label=l x", "SELinux labels (--selinux-label) are not supported")]
    [InlineData("--image-opts -f raw driver=raw", "--image-opts and -f are mutually exclusive")]
    [InlineData("--foo", "unrecognized option '--foo'\nqemu-nbd: Try `qemu-nbd --help' for more information.")]
    [InlineData("/nowhere/image", "Failed to blk_new_open '/nowhere/image': Could not open '/nowhere/image': No such file or directory")]
    public async Task A_command_line_that_cannot_be_followed_is_refused_in_the_references_words(string arguments, string error)
    {
        ToolRun run = await RunAsync(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal((1, $"qemu-nbd: {error}\n", ""), (run.ExitCode, run.Error, run.Output));
    }

    [Fact]
    public async Task The_server_ends_when_its_last_client_has_left()
    {
        using var folder = new TempDirectory();
        string image = folder.File("image", 1 << 20), socket = folder["socket"];
        Task<ToolRun> server = RunAsync("-f", "raw", "-k", socket, "-x", "name", image);
        await Patience.UntilExistsAsync(socket, server);
        ToolRun info = await ToolRun.ImgAsync("info", "-f", "raw", $"nbd+unix:///name?socket={socket}");
        Assert.Contains("virtual size: 1 MiB", info.Output, StringComparison.Ordinal);
        ToolRun run = await server.EndAsync();
        Assert.Equal((0, "", ""), (run.ExitCode, run.Error, run.Output));
        Assert.False(File.Exists(socket));
    }

    [Fact]
    public async Task A_persistent_server_stays_and_its_exports_are_listed_as_the_reference_lists_them()
    {
        using var folder = new TempDirectory();
        string image = folder.File("image", 1 << 20), socket = folder["socket"];
        using var stop = new CancellationTokenSource();
        Task<ToolRun> server = RunAsync(stop.Token, "-f", "raw", "-t", "-e", "3", "-r", "-A", "-D", "a text", "-k", socket, "--pid-file", folder["pid"], image);
        await Patience.UntilExistsAsync(folder["pid"], server);
        for (int i = 0; i < 2; i++)
        {
            ToolRun list = await RunAsync("-L", "-k", socket);
            Assert.Equal("", list.Error);
            Assert.StartsWith("exports available: 1\n export: ''\n  description: a text\n  size:  1048576\n  flags: 0x", list.Output, StringComparison.Ordinal);
            Assert.Contains(" ( readonly flush fua df multi cache ", list.Output, StringComparison.Ordinal);
            Assert.Contains("  min block: 1\n  opt block: 4096\n  max block: 33554432\n", list.Output, StringComparison.Ordinal);
            Assert.EndsWith("  available meta contexts: 2\n   base:allocation\n   qemu:allocation-depth\n", list.Output, StringComparison.Ordinal);
        }

        Assert.False(server.IsCompleted);
        await stop.CancelAsync();
        Assert.Equal(0, (await server.EndAsync()).ExitCode);
        Assert.True(File.Exists(folder["pid"]));   // the reference leaves it
    }

    [Fact]
    public async Task An_offset_cuts_the_image_and_writes_land_behind_it()
    {
        using var folder = new TempDirectory();
        string image = folder.File("image", 1 << 20), source = folder["source"], socket = folder["socket"];
        byte[] data = new byte[(1 << 20) - 4096];
        new Random(1).NextBytes(data);
        await File.WriteAllBytesAsync(source, data, TestContext.Current.CancellationToken);
        Task<ToolRun> server = RunAsync("-f", "raw", "-o", "4096", "-k", socket, image);
        await Patience.UntilExistsAsync(socket, server);
        Assert.Equal("", (await ToolRun.ImgAsync("convert", "-n", "-f", "raw", "-O", "raw", source, $"nbd+unix:///?socket={socket}")).Error);
        Assert.Equal("", (await server.EndAsync()).Error);
        Assert.True((await File.ReadAllBytesAsync(image, TestContext.Current.CancellationToken)).AsSpan(4096).SequenceEqual(data));
    }

    [Fact]
    public async Task With_a_temporary_overlay_writes_are_read_back_and_forgotten()
    {
        using var folder = new TempDirectory();
        string image = folder.File("image", 1 << 20), source = folder["source"], socket = folder["socket"];
        byte[] data = new byte[1 << 20];
        new Random(1).NextBytes(data);
        await File.WriteAllBytesAsync(source, data, TestContext.Current.CancellationToken);
        using var stop = new CancellationTokenSource();
        Task<ToolRun> server = RunAsync(stop.Token, "-f", "raw", "-s", "-t", "-k", socket, image);
        await Patience.UntilExistsAsync(socket, server);
        string uri = $"nbd+unix:///?socket={socket}";
        Assert.Equal("", (await ToolRun.ImgAsync("convert", "-n", "-f", "raw", "-O", "raw", source, uri)).Error);
        Assert.Equal(0, (await ToolRun.ImgAsync("compare", "-f", "raw", "-F", "raw", source, uri)).ExitCode);
        await stop.CancelAsync();
        Assert.Equal(0, (await server.EndAsync()).ExitCode);
        Assert.False((await File.ReadAllBytesAsync(image, TestContext.Current.CancellationToken)).AsSpan().ContainsAnyExcept((byte)0));
    }

    [Fact]
    public async Task A_client_that_leaves_without_a_word_is_reported_and_does_not_end_the_server()
    {
        using var folder = new TempDirectory();
        string image = folder.File("image", 1 << 20), socket = folder["socket"];
        using var stop = new CancellationTokenSource();
        Task<ToolRun> server = RunAsync(stop.Token, "-f", "raw", "-k", socket, image);
        await Patience.UntilExistsAsync(socket, server);
        using (Nbd.NbdTestClient client = await Nbd.NbdTestClient.ConnectAsync(socket)) await client.GreetAsync();
        Assert.Equal(0, (await ToolRun.ImgAsync("info", "-f", "raw", $"nbd+unix:///?socket={socket}")).ExitCode);
        Assert.Equal("qemu-nbd: option negotiation failed: Failed to read opts magic: Unexpected end-of-file before all data were read\n", (await server.EndAsync()).Error);
    }

    private static Task<ToolRun> RunAsync(params string[] arguments) => RunAsync(TestContext.Current.CancellationToken, arguments);

    private static async Task<ToolRun> RunAsync(CancellationToken stop, params string[] arguments)
    {
        using StringWriter output = new(), error = new();
        int exitCode = await new NbdTool(new ToolConsole("qemu-nbd", output, error)).RunAsync(arguments, stop);
        return new ToolRun(exitCode, output.ToString(), error.ToString());
    }
}
