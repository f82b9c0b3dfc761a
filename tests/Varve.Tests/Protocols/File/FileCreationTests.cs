using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Protocols.File;
using Varve.Tests.Support;

namespace Varve.Tests.Protocols.File;

public class FileCreationTests
{
    [Theory]
    [InlineData(null, 4096)]
    [InlineData("off", 4096)]
    [InlineData("falloc", 1 << 20)]
    [InlineData("full", 1 << 20)]
    public async Task A_created_file_has_its_size_and_its_space(string? preallocation, long allocated)
    {
        await using var fixture = new FileFixture();
        string path = fixture.Directory["new"];
        var options = new JsonObject { ["filename"] = path, ["size"] = 1.MiB, ["nocow"] = true, ["extent-size-hint"] = 0 };
        if (preallocation is not null) options["preallocation"] = preallocation;
        await new FileDriver().CreateAsync(fixture.Graph, options, default);
        BlockNode node = await fixture.OpenNodeAsync(path);
        Assert.Equal(1.MiB, node.Length);
        Assert.Equal(allocated, await node.GetAllocatedSizeAsync(default));
    }

    [Fact]
    public async Task Creating_empties_a_file_unless_somebody_uses_it()
    {
        await using var fixture = new FileFixture();
        string path = fixture.Directory["old"];
        await System.IO.File.WriteAllBytesAsync(path, [1, 2, 3, 4]);
        BlockBackend user = await fixture.OpenAsync(path);
        var options = new JsonObject { ["filename"] = path, ["size"] = 512 };
        var refused = await Assert.ThrowsAsync<BlockException>(async () => await new FileDriver().CreateAsync(fixture.Graph, options, default));
        Assert.Equal("Failed to get \"resize\" lock", refused.Message);
        Assert.Equal([1, 2, 3, 4], await System.IO.File.ReadAllBytesAsync(path));
        await fixture.CloseAsync(user);
        await new FileDriver().CreateAsync(fixture.Graph, options, default);
        Assert.Equal(new byte[512], await System.IO.File.ReadAllBytesAsync(path));
    }

    [Theory]
    [InlineData("metadata", 1L << 20, "Unsupported preallocation mode: metadata")]
    [InlineData("off", 1L << 60, "Could not resize file: File too large")]
    [InlineData("falloc", 1L << 60, "Could not preallocate new data: File too large")]
    public async Task What_cannot_be_created_is_refused_in_the_known_words(string preallocation, long size, string message)
    {
        await using var fixture = new FileFixture();
        var options = new JsonObject { ["filename"] = fixture.Directory["new"], ["size"] = size, ["preallocation"] = preallocation };
        var refused = await Assert.ThrowsAsync<BlockException>(async () => await new FileDriver().CreateAsync(fixture.Graph, options, default));
        Assert.Equal(message, refused.Message);
    }

    [Fact]
    public async Task A_file_that_cannot_be_made_says_so()
    {
        await using var fixture = new FileFixture();
        string path = fixture.Directory["missing/new"];
        var options = new JsonObject { ["filename"] = path, ["size"] = 512 };
        var refused = await Assert.ThrowsAsync<BlockException>(async () => await new FileDriver().CreateAsync(fixture.Graph, options, default));
        Assert.Equal($"Could not create '{path}': No such file or directory", refused.Message);
    }
}
