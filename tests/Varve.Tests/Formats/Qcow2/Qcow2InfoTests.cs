using System.Text.Json.Nodes;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

public sealed class Qcow2InfoTests : IDisposable
{
    private readonly TempDirectory _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("compat=0.10", null)]
    [InlineData("compat=1.1", null)]
    [InlineData("lazy_refcounts=on,refcount_bits=8", null)]
    [InlineData("compression_type=zstd", null)]
    [InlineData("compat=1.1", "dirt")]
    public async Task Format_specific_information_is_the_reference_s(string options, string? bitmap)
    {
        string path = _folder["image"];
        await OutputOfAsync("create", "-q", "-f", "qcow2", "-o", options, path, "4M");
        if (bitmap is not null) await OutputOfAsync("bitmap", "--add", "-g", "65536", path, bitmap);
        JsonNode theirs = JsonNode.Parse(await OutputOfAsync("info", "--output=json", path))!["format-specific"]!;

        await using MemoryImage image = await MemoryImage.CreateAsync(512);
        image.Memory.Files["image"] = new MemoryBytes(await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken));
        await using OpenedImage opened = await image.OpenAsync(readOnly: true);
        Assert.True(JsonNode.DeepEquals(theirs, opened.Node.GetSpecificInfo()), $"{theirs}\n{opened.Node.GetSpecificInfo()}");
    }

    [Fact]
    public async Task A_bitmap_that_breaks_a_rule_is_named()
    {
        string path = _folder["image"];
        await OutputOfAsync("create", "-q", "-f", "qcow2", path, "4M");
        await OutputOfAsync("bitmap", "--add", path, "bitmap-0");
        byte[] bytes = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);
        int name = bytes.AsSpan().IndexOf("bitmap-0"u8);
        bytes[name - 24 + 15] |= 8;     // a reserved flag
        await using MemoryImage image = await MemoryImage.CreateAsync(512);
        image.Memory.Files["image"] = new MemoryBytes(bytes);
        var error = await Assert.ThrowsAsync<BlockException>(() => image.OpenAsync(readOnly: true));
        Assert.Equal("Bitmap 'bitmap-0' doesn't satisfy the constraints", error.Message);
    }

    private static async Task<string> OutputOfAsync(params string[] arguments)
    {
        Tool.Result result = await Tool.RunAsync("qemu-img", arguments);
        Assert.True(result.ExitCode == 0, result.Error);
        return result.Output;
    }
}
