using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Protocols.Null;

namespace Varve.Tests.Protocols.Null;

public class NullNodeTests
{
    [Theory]
    [InlineData("null-co")]
    [InlineData("null-aio")]
    public async Task It_forgets_what_is_written_and_shows_nothing_of_other_buffers(string driver)
    {
        await using var graph = new BlockGraph();
        BlockNode node = await graph.OpenNodeAsync(new JsonObject { ["driver"] = driver }, new OpenContext());
        Assert.Equal(1.GiB, node.Length);
        byte[] buffer = [.. Enumerable.Repeat((byte)1, 512)];
        await node.WriteAsync(0, buffer, WriteFlags.None, default);
        await node.ReadAsync(0, buffer, default);
        Assert.Equal(new byte[512], buffer);
        await node.FlushAsync(default);
    }

    [Theory]
    [InlineData(false, BlockStatusFlags.OffsetValid)]
    [InlineData(true, BlockStatusFlags.OffsetValid | BlockStatusFlags.Zero | BlockStatusFlags.Allocated)]
    internal async Task Only_with_read_zeroes_is_it_known_to_read_as_zeros(bool readZeroes, BlockStatusFlags expected)
    {
        await using var graph = new BlockGraph();
        var options = new JsonObject { ["driver"] = "null-co", ["size"] = 1000, ["read-zeroes"] = readZeroes };
        BlockNode node = await graph.OpenNodeAsync(options, new OpenContext());
        Assert.Equal(1024, node.Length);
        BlockStatus status = await node.GetStatusAsync(0, 512, precise: true, default);
        Assert.Equal(expected, status.Flags);
    }

    [Fact]
    public void Its_file_name_says_nothing_more()
    {
        var driver = new NullDriver("null-co");
        Assert.Empty(driver.ParseFilename("null-co://"));
        var refused = Assert.Throws<BlockException>(() => driver.ParseFilename("null-co://x"));
        Assert.Equal("The only allowed filename for this driver is 'null-co://'", refused.Message);
    }
}
