using Varve.Tests.Cli;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>Runtime options: what the reference accepts is accepted, what it refuses is refused in its words.</summary>
public sealed class Qcow2OptionTests : IDisposable
{
    private readonly TempDirectory _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("cache-size=1M,l2-cache-size=2M")]
    [InlineData("cache-size=1M,refcount-cache-size=2M")]
    [InlineData("cache-size=1M,l2-cache-size=64k,refcount-cache-size=2M")]
    [InlineData("cache-size=0")]
    [InlineData("l2-cache-size=0")]
    [InlineData("l2-cache-size=1234567T")]
    [InlineData("l2-cache-entry-size=256")]
    [InlineData("l2-cache-entry-size=3000")]
    [InlineData("l2-cache-entry-size=128k")]
    [InlineData("refcount-cache-size=1P")]
    [InlineData("refcount-cache-size=100T")]   // not too many entries, but more than there is memory
    [InlineData("cache-clean-interval=4294967296")]
    [InlineData("cache-clean-interval=4294967295")]
    [InlineData("cache-clean-interval=42")]
    [InlineData("cache-size=x")]
    [InlineData("overlap-check=foo")]
    [InlineData("overlap-check=none")]
    [InlineData("overlap-check=constant")]
    [InlineData("overlap-check=all")]
    [InlineData("overlap-check.template=foo")]
    [InlineData("overlap-check.template=all,overlap-check.inactive-l2=off")]
    [InlineData("overlap-check.bitmap-directory=off,overlap-check.main-header=on")]
    [InlineData("overlap-check.main-header=blub")]
    [InlineData("overlap-check.nosuch=on")]
    [InlineData("lazy-refcounts=blub")]
    [InlineData("lazy-refcounts=on,pass-discard-request=on,pass-discard-snapshot=off,pass-discard-other=on")]
    [InlineData("pass-discard-other=x")]
    [InlineData("nosuch=1")]
    public async Task An_option_is_taken_or_refused_as_by_the_reference(string options)
    {
        string path = _folder["a.qcow2"];
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", path, "1G");
        string[] arguments = ["-c", $"open -o {options} {path}", "-c", "read -q 0 512"];
        Assert.Equal(await ToolRun.ReferenceAsync("qemu-io", arguments), await ToolRun.IoAsync(arguments));
    }

    [Theory]
    [InlineData("preallocation=metadata", "100M")]
    [InlineData("preallocation=metadata,cluster_size=4k", "100M")]
    [InlineData("preallocation=metadata,extended_l2=on", "10M")]
    [InlineData("preallocation=falloc", "10M")]
    [InlineData("preallocation=full,cluster_size=2M", "10M")]
    public async Task A_preallocated_image_has_the_references_size_and_map(string options, string size)
    {
        string theirs = _folder["r.qcow2"], ours = _folder["o.qcow2"];
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, theirs, size);
        Assert.Equal(0, (await ToolRun.ImgAsync("create", "-q", "-f", "qcow2", "-o", options, ours, size)).ExitCode);
        Assert.Equal(new FileInfo(theirs).Length, new FileInfo(ours).Length);
        Qcow2Fixture.AssertClean(ours);
        string map = (await ToolRun.ReferenceAsync("qemu-img", "map", "--output=json", theirs)).Output;
        Assert.Equal(map, WithoutCompressed(await ToolRun.ImgAsync("map", "--output=json", theirs)));
        if (!options.Contains("4k", StringComparison.Ordinal)) Assert.Equal(map, WithoutCompressed(await ToolRun.ImgAsync("map", "--output=json", ours)));
    }

    [Theory]
    [InlineData("1M", "5M", "off")]
    [InlineData("0", "2G", "off")]
    [InlineData("1M", "5M", "metadata")]
    [InlineData("100M", "300M", "metadata")]
    [InlineData("1M", "5M", "falloc")]
    [InlineData("1M", "5M", "full")]
    public async Task A_resized_image_has_the_references_size(string from, string to, string mode)
    {
        string theirs = _folder["r.qcow2"], ours = _folder["o.qcow2"];
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", theirs, from);
        File.Copy(theirs, ours);
        ReferenceTool.Run("qemu-img", "resize", "-q", $"--preallocation={mode}", theirs, to);
        Assert.Equal(new ToolRun(0, "", ""), await ToolRun.ImgAsync("resize", "-q", $"--preallocation={mode}", ours, to));
        Assert.Equal(new FileInfo(theirs).Length, new FileInfo(ours).Length);
        Qcow2Fixture.AssertClean(ours);
    }

    [Fact]
    public async Task A_shrunken_disk_gives_its_space_back_as_the_references_does()
    {
        string theirs = _folder["r.qcow2"], ours = _folder["o.qcow2"];
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", theirs, "64M");
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write 0 40M", theirs);
        File.Copy(theirs, ours);
        ReferenceTool.Run("qemu-img", "resize", "-q", "--shrink", theirs, "3M");
        Assert.Equal(new ToolRun(0, "", ""), await ToolRun.ImgAsync("resize", "-q", "--shrink", ours, "3M"));
        Assert.Equal(new FileInfo(theirs).Length, new FileInfo(ours).Length);
        Qcow2Fixture.AssertClean(ours);
    }

    private static string WithoutCompressed(ToolRun map) => map.Output.Replace(", \"compressed\": false", "", StringComparison.Ordinal);
}
