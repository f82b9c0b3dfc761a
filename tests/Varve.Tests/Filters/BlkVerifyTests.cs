using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Tests.Cli;
using Varve.Tests.Jobs;
using Varve.Tests.Support;

namespace Varve.Tests.Filters;

public sealed class BlkVerifyTests
{
    [Fact]
    public async Task Both_children_get_every_write_and_a_difference_is_found_where_it_is()
    {
        await using var fixture = new JobFixture();
        BlockNode node = await fixture.OpenAsync(new()
        {
            ["driver"] = "blkverify", ["node-name"] = "v",
            ["test"] = new JsonObject { ["driver"] = "memory", ["size"] = 1 << 20 }, ["raw"] = new JsonObject { ["driver"] = "memory", ["size"] = 1 << 20 },
        });
        BlockBackend guest = await fixture.OpenGuestAsync("v");
        byte[] data = new byte[4096];
        Array.Fill(data, (byte)7);
        await guest.WriteAsync(512, data);
        await guest.WriteZeroesAsync(1024, 100);
        await guest.ReadAsync(512, data);
        Assert.Equal(((MemoryNode)node.FindChild("raw")!.Node).Bytes.ToArray(), ((MemoryNode)node.FindChild("test")!.Node).Bytes.ToArray());

        ((MemoryNode)node.FindChild("raw")!.Node).Bytes.Write(1500, "x"u8);
        BlockException found = await Assert.ThrowsAsync<BlockException>(() => guest.ReadAsync(512, data).AsTask());
        Assert.Equal("blkverify: read offset=512 bytes=4096 contents mismatch at offset 1500", found.Message);
        Assert.Equal(1500, found.Offset);
    }

    [Fact]
    public async Task A_name_without_both_images_is_refused_as_by_the_reference()
    {
        ToolRun expected = await ToolRun.ReferenceAsync("qemu-io", "-c", "length", "blkverify:a.img");
        Assert.Equal(expected, await ToolRun.IoAsync(["-c", "length", "blkverify:a.img"]));
    }

    [Fact]
    public async Task A_name_opens_the_raw_copy_and_the_image()
    {
        using var folder = new ImgFolder();
        string name = $"blkverify:{folder.Raw("a", 1.MiB)}:{folder.Raw("b", 1.MiB)}";
        ToolRun run = await ToolRun.IoAsync(["-f", "raw", "-c", "write -P 1 0 1k", "-c", "read -P 1 0 1k", name]);
        Assert.Equal(0, run.ExitCode);
        Assert.Equal(await File.ReadAllBytesAsync(folder["a"], TestContext.Current.CancellationToken), await File.ReadAllBytesAsync(folder["b"], TestContext.Current.CancellationToken));
    }
}
