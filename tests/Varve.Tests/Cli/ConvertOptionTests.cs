using System.Text.Json.Nodes;

namespace Varve.Tests.Cli;

/// <summary>The options of <c>convert</c> one by one.</summary>
public sealed class ConvertOptionTests : IDisposable
{
    private readonly BothTools _tools = new();

    public void Dispose() => _tools.Dispose();

    [Theory]
    [InlineData("convert -C -O raw @a.q @t.raw", "raw")]
    [InlineData("convert -S 0 -O raw @a.q @t.raw", "raw")]
    [InlineData("convert -S 64k -O qcow2 @a.q @t.q", "qcow2")]
    [InlineData("convert -m 1 -O qcow2 @a.q @t.q", "qcow2")]
    [InlineData("convert -m 16 -W -O qcow2 @a.q @t.q", "qcow2")]
    [InlineData("convert -W -O raw @a.q @t.raw", "raw")]
    [InlineData("convert -r 100M -O qcow2 @a.q @t.q", "qcow2")]
    [InlineData("convert --salvage -O raw @a.q @t.raw", "raw")]
    [InlineData("convert -n -O raw @a.q @old.raw", "raw")]
    [InlineData("convert -n --target-is-zero -O qcow2 @a.q @empty.q", "qcow2")]
    [InlineData("convert -n --target-is-zero -S 4k -O raw @a.q @zero.raw", "raw")]
    [InlineData("convert -n --target-image-opts @a.q driver=qcow2,file.filename=@empty.q", "qcow2")]
    [InlineData("convert -c -O qcow2 @a.q @t.q", "qcow2")]
    [InlineData("convert -l snapshot.name=s -O raw @a.q @t.raw", "raw")]
    [InlineData("convert -B @base.q -F qcow2 -O qcow2 @a.q @t.q", "qcow2")]
    [InlineData("convert -p -O qcow2 @a.q @t.q", "qcow2")]
    public async Task A_conversion_prints_and_stores_what_the_references_does(string line, string format)
    {
        await PrepareAsync();
        await _tools.SameAsync(line);
        string target = line.Split('@')[^1];
        await _tools.SameDataAsync(target, format);
    }

    /// <summary>Version 2 has no zero clusters: what is not allocated is how it says zeros.</summary>
    [Theory]
    [InlineData("convert -n -O qcow2 @empty.q @full2.q", "full2.q")]
    [InlineData("convert -n -O qcow2 @base.q @full2.q", "full2.q")]
    [InlineData("convert -B @base.q -F qcow2 -o compat=0.10 -O qcow2 @long.q @t.q", "t.q")]
    [InlineData("convert -B @base.q -F qcow2 -O qcow2 @long.q @t.q", "t.q")]
    public async Task Zeros_that_need_no_space_take_none(string line, string target)
    {
        await PrepareAsync();
        await _tools.PrepareAsync(
            "img create -q -f qcow2 -o compat=0.10 @full2.q 2M", "io full2.q write -P 5 0 2M", "img create -q -f qcow2 -b @base.q -F qcow2 @long.q 700M", "io long.q write -P 6 1M 64k");
        await _tools.SameAsync(line);
        await _tools.SameDataAsync(target, "qcow2");
        _tools.SameAllocation(target);
    }

    [Theory]
    [InlineData("convert --bitmaps -O qcow2 @a.q @t.q")]
    [InlineData("convert --bitmaps --skip-broken-bitmaps -O qcow2 @a.q @t.q")]
    public async Task Bitmaps_come_along(string line)
    {
        await PrepareAsync();
        await _tools.SameAsync(line);
        await _tools.SameDataAsync("t.q", "qcow2");
        ToolRun info = await ToolRun.ReferenceAsync("qemu-img", "info", "--output=json", _tools["t.q"]);
        Assert.Equal("b", (string?)JsonNode.Parse(info.Output)!["format-specific"]!["data"]!["bitmaps"]![0]!["name"]);
    }

    private Task PrepareAsync() => _tools.PrepareAsync(
        "img create -q -f qcow2 @base.q 2M", "io base.q write -P 1 0 1M", "img create -q -f qcow2 @a.q 2M", "io a.q write -P 2 64k 900k", "img snapshot -c s @a.q",
        "io a.q write -P 3 512k 100k", "img bitmap --add @a.q b", "img create -q -f qcow2 -b @base.q -F qcow2 @top.q", "io top.q write -P 4 0 100k",
        "img convert -O qcow2 @a.q @a2.q", "img create -q -f qcow2 @empty.q 2M", "img create -q -f raw @zero.raw 2M", "img create -q -f raw @old.raw 2M");
}
