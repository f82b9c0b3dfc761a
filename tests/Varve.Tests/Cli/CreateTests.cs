namespace Varve.Tests.Cli;

public sealed class CreateTests : IDisposable
{
    private readonly ImgFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("-f raw F 1000")]
    [InlineData("-f raw -o preallocation=falloc F 1M")]
    [InlineData("F 1.5k")]
    [InlineData("-f qcow2 F 64M")]
    [InlineData("-f qcow2 -o compat=0.10 F 64M")]
    [InlineData("-f qcow2 -o cluster_size=4k,refcount_bits=1 -o lazy_refcounts=on F 1G")]
    [InlineData("-f qcow2 -o size=10M,preallocation=metadata F")]
    [InlineData("-f qcow2 -o lazy_refcounts F 1M")]
    [InlineData("-q -f qcow2 F 1M")]
    [InlineData("-f qcow2 -b missing -F qcow2 -u F 1M")]
    [InlineData("-f qcow2 F -- -1k")]
    [InlineData("-f qcow2 F 1kilobyte")]
    [InlineData("-f qcow2 F 10E")]
    [InlineData("-f qcow2 -o size=foobar F")]
    [InlineData("-f qcow2 -o size=10M F 20M")]
    [InlineData("-f qcow2 -o cluster_size=3k F 1M")]
    [InlineData("-f qcow2 -o compat=0.42 F 1M")]
    [InlineData("-f qcow2 -o compat=0.10,lazy_refcounts=on F 1M")]
    [InlineData("-f qcow2 -o preallocation=1234 F 1M")]
    [InlineData("-f qcow2 -o lazy_refcounts=maybe F 1M")]
    [InlineData("-f qcow2 -o refcount_bits=1k F 1M")]
    [InlineData("-f qcow2 -o foo=bar F 1M")]
    [InlineData("-f qcow2 -o ,help F")]
    [InlineData("-f qcow2 -o help")]
    [InlineData("-f qcow2 -o help F")]
    [InlineData("-f raw -o help F")]
    [InlineData("-f qcow2 F")]
    [InlineData("-f foo F 1M")]
    [InlineData("foo:F 1M")]
    [InlineData("-f qcow2 F/nope 1M")]
    [InlineData("-f raw -b base F 1M")]
    [InlineData("-f qcow2 -b nope -F qcow2 F")]
    [InlineData("-f qcow2 -F qcow2 F 1M")]
    [InlineData("-f qcow2 -o backing_file= F 1M")]
    [InlineData("-f qcow2")]
    [InlineData("-f qcow2 F 1M more")]
    [InlineData("-f")]
    [InlineData("--foo")]
    public async Task Creating_prints_and_returns_what_the_reference_does(string line)
    {
        string[] ours = Arguments(line, "ours"), theirs = Arguments(line, "theirs");
        ToolRun expected = await ToolRun.ReferenceAsync("qemu-img", theirs);
        ToolRun actual = await ToolRun.ImgAsync(ours);
        Assert.Equal(Neutral(expected.Output, "theirs"), Neutral(actual.Output, "ours"));
        Assert.Equal(Neutral(expected.Error, "theirs"), Neutral(actual.Error, "ours"));
        Assert.Equal(expected.ExitCode, actual.ExitCode);
        Assert.Equal(File.Exists(_folder["theirs"]), File.Exists(_folder["ours"]));
    }

    [Fact]
    public async Task A_negative_size_is_out_of_range()
    {
        ToolRun operand = await ToolRun.ImgAsync("create", "-f", "qcow2", "a", "--", "-1024"), option = await ToolRun.ImgAsync("create", "-o", "size=-1024", "a");
        Assert.Equal("qemu-img: Invalid image size specified. Must be between 0 and 9223372036854775807.\n", operand.Error);
        Assert.Equal("qemu-img: a: Value '-1024' is out of range for parameter 'size'\n", option.Error);
    }

    [Fact]
    public async Task A_backing_file_gives_its_size_and_is_recorded_as_given()
    {
        await ToolRun.ImgAsync("create", "-q", "-f", "qcow2", _folder["base.qcow2"], "3M");
        ToolRun run = await ToolRun.ImgAsync("create", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", _folder["top.qcow2"]);
        Assert.Equal(
            $"Formatting '{_folder["top.qcow2"]}', fmt=qcow2 cluster_size=65536 extended_l2=off compression_type=zlib size=3145728 backing_file=base.qcow2 backing_fmt=qcow2 lazy_refcounts=off refcount_bits=16\n",
            run.Output);
        ToolRun info = await ToolRun.ImgAsync("info", _folder["top.qcow2"]);
        Assert.Contains($"backing file: base.qcow2 (actual path: {_folder["base.qcow2"]})\nbacking file format: qcow2\n", info.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_backing_file_without_its_format_is_refused_and_the_format_is_named()
    {
        await ToolRun.ImgAsync("create", "-q", "-f", "qcow2", _folder["base.qcow2"], "3M");
        ToolRun run = await ToolRun.ImgAsync("create", "-f", "qcow2", "-b", "base.qcow2", _folder["top.qcow2"]);
        Assert.Equal(1, run.ExitCode);
        Assert.Equal(
            $"qemu-img: {_folder["top.qcow2"]}: Backing file specified without backing format\nDetected format of qcow2.", run.Error.TrimEnd('\n'));
    }

    private string[] Arguments(string line, string name)
        => ["create", .. line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(a => a.Replace("F", _folder[name], StringComparison.Ordinal) is var path && a is "F" or "F/nope" or "foo:F" ? path : a)];

    private string Neutral(string text, string name) => text.Replace(_folder[name], "FILE", StringComparison.Ordinal);
}
