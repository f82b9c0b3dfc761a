using Varve.Tests.Cli;

namespace Varve.Tests.Filters;

/// <summary><c>blkdebug</c> through <c>io</c>, side by side with the reference: limits, rules, breakpoints, configuration files.</summary>
public sealed class BlkDebugConformanceTests : IDisposable
{
    private readonly ImgFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Limits =>
    [
        "align=512", "align=4096", "align=3", "align=0", "align=4G", "max-transfer=512", "max-transfer=1000", "max-transfer=2G", "opt-write-zero=4k",
        "opt-write-zero=1000", "max-write-zero=8k", "max-write-zero=1000", "opt-discard=4k", "opt-discard=1000", "max-discard=64k", "max-discard=4G",
        "align=4096,file.max-transfer=512", "align=4096,file.opt-write-zero=512", "opt-write-zero=8192,file.max-write-zero=4096",
        "opt-discard=8192,file.max-discard=4096", "opt-discard=8192,file.max-discard=16384", "bla=1",
    ];

    public static TheoryData<string, string> Rules => new()
    {
        { "inject-error.0.event=none,file.inject-error.0.iotype=read", "write 0 4k;read 0 4k;write -z 0 4k;discard 0 4k" },
        { "inject-error.0.event=none,file.inject-error.0.iotype=write", "write 0 4k;read 0 4k;write -z 0 4k;discard 0 4k" },
        { "inject-error.0.event=none,file.inject-error.0.iotype=write-zeroes", "write 0 4k;read 0 4k;write -z 0 4k;discard 0 4k" },
        { "inject-error.0.event=none,file.inject-error.0.iotype=discard", "write 0 4k;read 0 4k;write -z 0 4k;discard 0 4k" },
        { "inject-error.0.event=none,file.inject-error.0.iotype=block-status", "read 0 4k;map" },
        { "inject-error.0.event=none,file.inject-error.0.iotype=foo", "read 0 4k" },
        { "inject-error.0.event=none,file.inject-error.0.bla=1", "read 0 4k" },
        { "inject-error.0.event=foo", "read 0 512" },
        { "inject-error.0.errno=5", "read 0 512" },
        { "inject-error.0.event=read_aio,file.inject-error.0.errno=x", "read 0 512" },
        { "inject-error.0.event=read_aio,file.inject-error.0.errno=0", "read 0 512" },
        { "inject-error.0.event=read_aio,file.inject-error.0.once=on", "read 0 512;read 0 512" },
        { "inject-error.0.event=read_aio,file.inject-error.0.immediately=on,file.inject-error.0.errno=28", "read 0 512;aio_read 0 512;aio_flush" },
        { "inject-error.0.event=read_aio,file.inject-error.0.sector=3", "read 0 512;read 1k 1k;write 0 2k;read 1k 512;read 2k 512" },
        { "set-state.0.event=read_aio", "read 0 512" },
        { "set-state.0.event=read_aio,file.set-state.0.new_state=2,file.inject-error.0.event=read_aio,file.inject-error.0.state=2", "read 0 512;read 0 512" },
        { "take-child-perms.0=write", "read 0 512" },
        { "take-child-perms.0=foo", "read 0 512" },
        { "unshare-child-perms.0=resize,file.take-child-perms.0=resize", "read 0 512" },
        { "take-child-perms.0=write,read-only=on", "read 0 512" },
        {
            "align=512",
            "break read_aio A;aio_read 0 512;wait_break A;resume A;aio_flush;resume A;remove_break A;break foo A;break read_aio B;remove_break B;read 0 512;"
            + "break write_aio C;aio_write 0 512;wait_break C;remove_break C;aio_flush"
        },
    };

    public static TheoryData<string> Configurations =>
    [
        "[inject-error]\nevent = \"read_aio\"\nerrno = \"28\"\nonce = \"on\"\n",
        "[set-state]\nevent = \"write_aio\"\nstate = \"1\"\nnew_state = \"2\"\n\n[inject-error]\nevent = \"read_aio\"\nstate = \"2\"\n",
        "[inject-error]\nevent = \"foo\"\n", "[foo]\nevent = \"foo\"\n", "[inject-error]\nerrno = \"3\"\n", "[set-state]\nevent = \"read_aio\"\n",
        "[inject-error]\nevent = \"read_aio\"\nbla = \"x\"\n", "[inject-error]\nevent = \"read_aio\"\nerrno = \"x\"\n", "bla",
    ];

    [Theory]
    [MemberData(nameof(Limits))]
    public Task Limits_cut_requests_up_or_are_refused(string limits)
        => SameAsync(limits, "write -P 5 0 64k", "read -P 5 3 5000", "write -z 1000 60000", "read -P 0 1000 60000", "discard 0 64k");

    [Theory]
    [MemberData(nameof(Rules))]
    public Task Rules_do_what_they_do_there(string rules, string commands) => SameAsync(rules, commands.Split(';'));

    [Theory]
    [MemberData(nameof(Configurations))]
    public async Task Configuration_files_are_read_alike(string configuration)
    {
        string image = _folder.Raw("image", 1.MiB), config = _folder["config"];
        await File.WriteAllTextAsync(config, configuration, TestContext.Current.CancellationToken);
        await SameAsync(["-f", "raw", "-c", "read 0 512", "-c", "write 0 512", "-c", "read 0 512", $"blkdebug:{config}:{image}"]);
    }

    private Task SameAsync(string options, params string[] commands)
    {
        string image = _folder.Raw("image", 1.MiB);
        string description = $"driver=raw,discard=unmap,file.driver=blkdebug,file.discard=unmap,file.image.driver=file,file.image.filename={image},file.{options}";
        return SameAsync([.. commands.SelectMany(c => new[] { "-c", c }), "--image-opts", description]);
    }

    private static async Task SameAsync(string[] arguments)
    {
        ToolRun expected = Comparable(await ToolRun.ReferenceAsync("qemu-io", arguments)), actual = Comparable(await ToolRun.IoAsync(arguments));
        Assert.Equal(expected, actual);
    }

    private static ToolRun Comparable(ToolRun run)
        => run with { Output = string.Join('\n', run.Output.Split('\n').Where(l => !l.Contains(" ops; ", StringComparison.Ordinal))) };
}
