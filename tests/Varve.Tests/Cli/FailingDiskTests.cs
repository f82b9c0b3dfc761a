using Varve.Tests.Support;

namespace Varve.Tests.Cli;

/// <summary>A disk that fails at a moment of a format's work (<c>blkdebug</c>): what the tools say, and what is left, as the reference's.</summary>
public sealed class FailingDiskTests : IDisposable
{
    private readonly ImgFolder _reference = new(), _ours = new();

    public void Dispose()
    {
        _reference.Dispose();
        _ours.Dispose();
    }

    [Theory]
    [InlineData("l1_update", "write 0 128k")]
    [InlineData("l1_update", "write -b 0 128k")]
    [InlineData("l2_load", "write 0 128k")]
    [InlineData("l2_alloc_write", "write 0 128k")]
    [InlineData("write_aio", "write 0 128k")]
    [InlineData("refblock_load", "write 0 128k")]
    [InlineData("refblock_alloc", "write -b 0 128k")]
    [InlineData("cluster_alloc", "write 0 128k")]
    [InlineData("l1_grow_alloc_table", "write -b 0 128k")]
    [InlineData("l1_grow_write_table", "write -b 0 128k")]
    public async Task A_write_through_to_a_disk_that_fails_says_what_the_reference_says(string moment, string write)
    {
        foreach (string once in new[] { "on", "off" })
        {
            string[] Arguments(ImgFolder folder) => [
                "-t", "writethrough", "-c", write, $"blkdebug:{Rules(folder, moment, once)}:{folder["a"]}"];
            await CreateAsync("-o", "cluster_size=1k", "1G");
            ToolRun expected = await ToolRun.ReferenceAsync("qemu-io", Arguments(_reference)), actual = await ToolRun.IoAsync(Arguments(_ours));
            Assert.Equal((once, expected.Error), (once, actual.Error));
            Assert.Equal(FirstWords(expected.Output), FirstWords(actual.Output));
        }
    }

    [Theory]
    [InlineData("l1_update")]
    [InlineData("empty_image_prepare")]
    [InlineData("reftable_update")]
    [InlineData("refblock_alloc")]
    public async Task A_commit_that_cannot_empty_the_overlay_leaves_one_that_is_repaired(string moment)
    {
        await CreateAsync("1M");
        foreach (ImgFolder folder in Both()) await ToolRun.ReferenceAsync("qemu-img", "create", "-q", "-f", "qcow2", "-b", folder["a"], "-F", "qcow2", folder["top"]);
        foreach (ImgFolder folder in Both()) await ToolRun.ReferenceAsync("qemu-io", "-f", "qcow2", "-c", "write -P 5 0 64k", folder["top"]);
        string[] Arguments(ImgFolder folder) => ["commit", $"blkdebug:{Rules(folder, moment, "off")}:{folder["top"]}"];
        ToolRun expected = await ToolRun.ReferenceAsync("qemu-img", Arguments(_reference)), actual = await ToolRun.ImgAsync(Arguments(_ours));
        Assert.Equal((expected.ExitCode, Relative(expected.Error, _reference)), (actual.ExitCode, Relative(actual.Error, _ours)));

        ToolRun opened = await ToolRun.IoAsync(["-f", "qcow2", "-c", "read -P 5 0 64k", _ours["top"]]);
        Assert.Equal(0, opened.ExitCode);
        Assert.Equal(0, (await ToolRun.ReferenceAsync("qemu-img", "check", _ours["top"])).ExitCode);
    }

    [Fact]
    public async Task A_snapshot_whose_clusters_cannot_be_freed_is_gone_and_they_leak()
    {
        await CreateAsync("1M");
        foreach (ImgFolder folder in Both()) await ToolRun.ReferenceAsync("qemu-io", "-f", "qcow2", "-c", "write 0 64k", folder["a"]);
        foreach (ImgFolder folder in Both()) await ToolRun.ReferenceAsync("qemu-img", "snapshot", "-c", "s", folder["a"]);
        string[] Arguments(ImgFolder folder) => ["snapshot", "-d", "s", $"blkdebug:{Rules(folder, "cluster_free", "off")}:{folder["a"]}"];
        ToolRun expected = await ToolRun.ReferenceAsync("qemu-img", Arguments(_reference)), actual = await ToolRun.ImgAsync(Arguments(_ours));
        Assert.Equal(expected, actual);
        expected = await ToolRun.ReferenceAsync("qemu-img", "check", _reference["a"]);
        actual = await ToolRun.ReferenceAsync("qemu-img", "check", _ours["a"]);
        Assert.Equal(expected.Output, actual.Output);
    }

    [Fact]
    public async Task A_file_ends_with_the_last_cluster_it_holds()
    {
        await CreateAsync("1G");
        foreach (ImgFolder folder in Both())
        {
            File.WriteAllBytes(folder["raw"], new byte[1 << 20]);
            await ToolRun.ReferenceAsync("qemu-io", "-f", "raw", "-c", "write 512 512", "-c", "write 512k 63k", folder["raw"]);
        }

        await ToolRun.ReferenceAsync("qemu-img", "convert", "-f", "raw", "-O", "qcow2", _reference["raw"], _reference["copy"]);
        await ToolRun.ImgAsync("convert", "-f", "raw", "-O", "qcow2", _ours["raw"], _ours["copy"]);
        Assert.Equal(new FileInfo(_reference["copy"]).Length, new FileInfo(_ours["copy"]).Length);
    }

    private ImgFolder[] Both() => [_reference, _ours];

    private async Task CreateAsync(params string[] arguments)
    {
        foreach (ImgFolder folder in Both())
        {
            string[] create = ["create", "-q", "-f", "qcow2", .. arguments[..^1], folder["a"], arguments[^1]];
            Assert.Equal(0, (await ToolRun.ReferenceAsync("qemu-img", create)).ExitCode);
        }
    }

    private static string Rules(ImgFolder folder, string moment, string once)
    {
        File.WriteAllText(folder["rules"], $"[inject-error]\nevent = \"{moment}\"\nerrno = \"5\"\nimmediately = \"off\"\nonce = \"{once}\"\n");
        return folder["rules"];
    }

    private static string Relative(string text, ImgFolder folder) => text.Replace(folder[""], "", StringComparison.Ordinal);

    /// <summary>Without times and rates.</summary>
    private static string FirstWords(string output)
        => string.Join('\n', output.Split('\n').Where(line => !line.Contains(" ops; ", StringComparison.Ordinal)));
}
