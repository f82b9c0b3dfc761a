using System.Text.RegularExpressions;

namespace Varve.Tests.Cli;

public sealed partial class IoTests : IDisposable
{
    private readonly ImgFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_session_prints_what_the_reference_prints()
    {
        // What 7.2 and 8.2 do differently is not asked: registered buffers, zones, negative numbers. No order of requests in flight.
        const string Session = """
            foo
            read
            read 0
            read -v 0 20
            read -v 4090 30
            read -P 0 0 1k
            read -P 1 0 1k
            read -P 0 -s 512 -l 256 0 1k
            read -P 0 -l 2048 0 1k
            read -P 300 0 512
            read -P 010 0 512
            read -P 1x 0 512
            read -s x -P 0 0 512
            read x 512
            read 0 3G
            read 0 9E
            read -b 100 512
            read -b 0 100
            read 4M 512
            read 4M 0
            read -C 0 512
            read -q 0 512
            read 0 1.5k
            read 0 1.5
            readv 0 512 x
            readv -v 0 16 16
            readv 0 3G
            readv 0 1G 1G
            write -P 0x55 512 512
            read -v 508 8
            write -z 100 300
            write -z -u 0 512
            write -z -P 1 0 512
            write -u 0 512
            write -n 0 512
            write -b -z 0 512
            write -f -b 0 512
            write -f 0 512
            write -c 0 100
            write -s nofile 0 512
            write -s /dev/null 0 512
            write 0 8G
            writev 0 512 1k
            aio_read 0 512
            aio_flush
            aio_read -v 0 16
            aio_flush
            aio_read -P 7 0 512
            aio_flush
            aio_read 4M 512
            aio_flush
            aio_read -i 0 512
            aio_write -P 9 0 512 512
            aio_flush
            aio_write 4M 512
            aio_flush
            aio_write -z 0 512 512
            aio_write 0
            aio_flush x
            truncate 8M
            length
            truncate -m foo 9M
            truncate -m metadata 9M
            truncate x
            info
            map
            alloc 0
            alloc 7M 4M
            alloc 8M 512
            alloc x
            discard 0 512
            discard -C 0 512
            discard 9M 512
            discard 0 3G
            sleep 1
            sleep x
            sigraise 99
            break write_aio A
            remove_break A
            resume A
            wait_break
            open t.img
            reopen -r
            write 0 512
            reopen -w
            write 0 512
            reopen -r -w
            reopen -c foo
            reopen -o foo=bar
            reopen -r -o read-only=on
            reopen a b c d
            help break
            help foo
            close
            read 0 512
            open
            open nofile
            open -t foo t.img
            open -d foo t.img
            open -i foo t.img
              length

            q
            """;
        string ours = _folder.Raw("ours.img", 4.MiB), theirs = _folder.Raw("theirs.img", 4.MiB);
        ToolRun expected = await ToolRun.ReferenceAsync("qemu-io", ["-f", "raw", theirs], Session);
        ToolRun actual = await ToolRun.IoAsync(["-f", "raw", ours], Session);
        Assert.Equal(Untimed(expected.Output), Untimed(actual.Output));
        Assert.Equal(expected.Error, actual.Error);
        Assert.Equal(expected.ExitCode, actual.ExitCode);
        Assert.Equal(await File.ReadAllBytesAsync(theirs, TestContext.Current.CancellationToken), await File.ReadAllBytesAsync(ours, TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData(0, "read 0 512", "flush")]
    [InlineData(1, "foo", "read 0 512")]
    [InlineData(1, "read 2M 512")]
    [InlineData(0, "aio_read 2M 512", "aio_flush")]     // what was only started has not failed
    [InlineData(0, "quit", "foo")]
    public async Task The_exit_status_tells_whether_a_command_failed(int expected, params string[] commands)
        => Assert.Equal(expected, (await ToolRun.IoAsync(_folder.Raw("t.img", 1.MiB), commands)).ExitCode);

    [Fact]
    public async Task A_request_that_was_only_started_is_done_before_the_tool_ends()
    {
        string image = _folder.Raw("t.img", 1.MiB);
        Assert.Contains("wrote 512/512 bytes at offset 0", (await ToolRun.IoAsync(image, "aio_write -P 7 0 512")).Output, StringComparison.Ordinal);
        Assert.Equal(7, (await File.ReadAllBytesAsync(image, TestContext.Current.CancellationToken))[511]);
    }

    [Fact]
    public async Task Requests_in_flight_overlap_until_a_breakpoint_lets_them_go()
    {
        string image = _folder.Raw("t.img", 1.MiB);
        ToolRun run = await ToolRun.IoAsync(
            ["--image-opts", $"driver=raw,file.driver=blkdebug,file.image.filename={image}",
             .. new[] { "break pwritev A", "aio_write -P 1 0 512", "wait_break A", "write -P 2 0 512", "resume A", "aio_flush", "read -P 1 0 512" }.SelectMany(c => new[] { "-c", c })]);
        Assert.Equal(0, run.ExitCode);
        Assert.Equal(
            ["blkdebug: Suspended request 'A'", "wrote 512/512 bytes at offset 0", "blkdebug: Resuming request 'A'", "wrote 512/512 bytes at offset 0", "read 512/512 bytes at offset 0"],
            run.Output.Split('\n').Where(l => l.Length > 0 && !l.Contains("ops", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("aio_write -P 1 0 4k", "length", "aio_flush", "length")]
    [InlineData("aio_write -P 1 0 4k", "aio_flush", "aio_read 0 4k", "length", "write -P 2 64k 512k", "length")]
    [InlineData("aio_write -P 1 0 4k", "length", "quit")]
    public async Task What_a_started_request_prints_waits_for_a_command_that_waits(params string[] commands)
    {
        string[] expected = Untimed((await ToolRun.ReferenceAsync("qemu-io", With(_folder.Raw("theirs.img", 1.MiB), commands))).Output).Split('\n');
        Assert.Equal(expected, Untimed((await ToolRun.IoAsync(With(_folder.Raw("ours.img", 1.MiB), commands))).Output).Split('\n'));

        static string[] With(string image, string[] commands) => ["-f", "raw", .. commands.SelectMany(c => new[] { "-c", c }), image];
    }

    /// <summary>Under <c>--image-opts</c> the command <c>open</c> takes options too, not a name.</summary>
    [Fact]
    public async Task Open_under_image_opts_takes_options()
    {
        string first = _folder.Raw("first.img", 1.MiB, (0, 1)), second = _folder.Raw("second.img", 1.MiB, (0, 2)), overlay = _folder["overlay.qcow2"];
        ToolRun created = await ToolRun.ImgAsync("create", "-q", "-f", "qcow2", "-b", first, "-F", "raw", overlay);
        Assert.Equal(0, created.ExitCode);
        string[] commands =
        [
            "read -P 1 0 512", "close", $"open driver=raw,file.filename={second}", "read -P 2 0 512", "close", "open second.img", "read 0 512", "open -r driver=raw,file.filename=/nope",
            $"open -o driver=raw file.filename={second}", $"open -n driver=qcow2,file.filename={overlay},backing.driver=raw,backing.file.filename={second}", "read -P 2 0 512",
        ];
        string[] arguments = ["--image-opts", .. commands.SelectMany(c => new[] { "-c", c }), $"driver=qcow2,file.filename={overlay}"];
        ToolRun expected = await ToolRun.ReferenceAsync("qemu-io", arguments), actual = await ToolRun.IoAsync(arguments);
        Assert.Equal((expected.ExitCode, Untimed(expected.Output), expected.Error), (actual.ExitCode, Untimed(actual.Output), actual.Error));
    }

    [Fact]
    public async Task A_request_that_ends_at_once_prints_after_the_resumption_that_follows()
    {
        string image = _folder.Raw("t.img", 1.MiB);
        ToolRun run = await ToolRun.IoAsync(["--image-opts", $"driver=raw,file.driver=blkdebug,file.image.filename={image}"], """
            break pwritev A
            aio_write -P 1 0 512
            wait_break A
            aio_write -P 2 1k 512
            resume A
            aio_flush

            """);
        string[] lines = [.. run.Output.Replace("varve> ", "", StringComparison.Ordinal).Replace("qemu-io> ", "", StringComparison.Ordinal)
            .Split('\n').Where(l => l.Length > 0 && !l.Contains("ops", StringComparison.Ordinal))];
        Assert.Equal(["blkdebug: Suspended request 'A'", "blkdebug: Resuming request 'A'"], lines[..2]);
        Assert.Equal(["wrote 512/512 bytes at offset 0", "wrote 512/512 bytes at offset 1024"], lines[2..].Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Writes_to_a_temporary_snapshot_do_not_reach_the_image()
    {
        string image = _folder.Raw("t.img", 1.MiB);
        ToolRun run = await ToolRun.IoAsync(["-f", "raw", "-s", "-c", "write -P 7 0 512", "-c", "read -P 7 0 512", image]);
        Assert.Equal(0, run.ExitCode);
        Assert.Equal(0, (await File.ReadAllBytesAsync(image, TestContext.Current.CancellationToken))[0]);
    }

    [Fact]
    public async Task The_zone_commands_say_that_an_image_has_no_zones()
    {
        ToolRun run = await ToolRun.IoAsync(_folder.Raw("t.img", 1.MiB), "zrp 0 1", "zap 0 512");
        Assert.Equal("zone report failed: Operation not supported\nzone append failed: Operation not supported\n", run.Output);
        Assert.Equal(1, run.ExitCode);
    }

    [Fact]
    public async Task Every_command_explains_itself()
    {
        string[] names = [.. (await ToolRun.IoAsync(["-c", "help"])).Output.Split('\n')
            .TakeWhile(l => l.Length > 0).Select(l => l.Split(' ')[0])];
        Assert.Equal(32, names.Length);
        foreach (string name in names) Assert.StartsWith(name + " ", (await ToolRun.IoAsync(["-c", $"help {name}"])).Output, StringComparison.Ordinal);
    }

    private static string Untimed(string output) => Times().Replace(output.Replace("qemu-io> ", "", StringComparison.Ordinal), "T");   // a request may complete before or after a prompt

    [GeneratedRegex(@"\d[\d:.]+( sec)? \([\d.]+ \w+/sec and [\d.]+ ops/sec\)|(?<=\d,1,)0:\d.*")]
    private static partial Regex Times();
}
