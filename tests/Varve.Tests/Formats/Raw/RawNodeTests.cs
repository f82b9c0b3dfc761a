using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Tests.Protocols.File;

namespace Varve.Tests.Formats.Raw;

public class RawNodeTests
{
    [Fact]
    public async Task A_window_shows_its_part_of_the_file()
    {
        await using var fixture = new RawFixture();
        byte[] content = new byte[64.KiB];
        new Random(3).NextBytes(content);
        await System.IO.File.WriteAllBytesAsync(fixture.Path, content);
        BlockBackend disk = await fixture.OpenAsync(offset: 1000, size: 4096);
        Assert.Equal(4096, disk.Length);
        byte[] back = new byte[4096];
        await disk.ReadAsync(0, back);
        Assert.Equal(content[1000..5096], back);

        byte[] data = [.. Enumerable.Repeat((byte)0xEE, 100)];
        await disk.WriteAsync(4096 - 100, data);
        await disk.WriteZeroesAsync(0, 512);
        data.CopyTo(content, 5096 - 100);
        content.AsSpan(1000, 512).Clear();
        Assert.Equal(content, await System.IO.File.ReadAllBytesAsync(fixture.Path));
        await Assert.ThrowsAsync<BlockException>(async () => await disk.WriteAsync(4096, new byte[1]));
    }

    [Fact]
    public async Task Status_names_the_file_and_the_place_in_it()
    {
        await using var fixture = new RawFixture();
        await System.IO.File.WriteAllBytesAsync(fixture.Path, [.. Enumerable.Repeat((byte)1, 8192)]);
        BlockBackend disk = await fixture.OpenAsync(offset: 4096);
        BlockStatus status = await disk.Node.GetStatusAsync(512, 100_000, precise: true, default);
        Assert.True(status is { IsData: true, IsEndOfFile: true, Length: 4096 - 512, HostOffset: 4096 + 512 });
        Assert.Equal("file", status.File!.Driver.Name);
    }

    [Fact]
    public async Task A_window_without_a_size_ends_with_a_whole_sector_of_zeros()
    {
        await using var fixture = new RawFixture();
        await System.IO.File.WriteAllBytesAsync(fixture.Path, [.. Enumerable.Repeat((byte)1, 1000)]);
        BlockBackend disk = await fixture.OpenAsync(offset: 900);
        Assert.Equal(512, disk.Length);
        byte[] back = [.. Enumerable.Repeat((byte)9, 512)];
        await disk.ReadAsync(0, back);
        Assert.Equal([.. Enumerable.Repeat((byte)1, 100), .. new byte[412]], back);
        BlockStatus tail = await disk.Node.GetStatusAsync(200, 312, precise: true, default);
        Assert.True(tail is { IsZero: true, Length: 312 });
    }

    [Theory]
    [InlineData(2000L, null, "Offset (2000) cannot be greater than size of the containing file (1024)")]
    [InlineData(0L, 2048L, "The sum of offset (0) and size (2048) has to be smaller or equal to the  actual size of the containing file (1024)")]
    [InlineData(0L, 100L, "Specified size is not multiple of 512")]
    [InlineData(-1L, null, "Parameter 'offset' expects a non-negative number below 2^64")]
    public async Task A_window_that_does_not_fit_is_refused_in_the_known_words(long offset, long? size, string message)
    {
        await using var fixture = new RawFixture();
        await System.IO.File.WriteAllBytesAsync(fixture.Path, new byte[1000]);
        Assert.Equal(message, (await Assert.ThrowsAsync<BlockException>(() => fixture.OpenAsync(offset, size))).Message);
    }

    [Fact]
    public async Task Resizing_passes_on_to_the_file_except_through_a_window_of_fixed_size()
    {
        await using var fixture = new RawFixture();
        await System.IO.File.WriteAllBytesAsync(fixture.Path, new byte[8192]);
        BlockBackend disk = await fixture.OpenAsync(offset: 4096);
        await disk.Node.ResizeAsync(64.KiB, PreallocationMode.Off, default);
        Assert.Equal(64.KiB, disk.Length);
        Assert.Equal(68.KiB, new FileInfo(fixture.Path).Length);
        BlockBackend window = await fixture.OpenAsync(size: 4096, locking: "off");
        var refused = await Assert.ThrowsAsync<BlockException>(async () => await window.Node.ResizeAsync(64.KiB, PreallocationMode.Off, default));
        Assert.Equal("Cannot resize fixed-size raw disks", refused.Message);
    }

    [Fact]
    public async Task Without_a_window_the_permissions_of_the_file_are_those_of_the_node()
    {
        await using var fixture = new RawFixture();
        await System.IO.File.WriteAllBytesAsync(fixture.Path, new byte[4096]);
        BlockBackend disk = await fixture.OpenAsync();
        BlockChild file = disk.Node.FindChild("file")!;
        Assert.Equal(ChildRole.Filtered | ChildRole.Primary, file.Role);
        Assert.Equal((disk.Permissions, disk.Shared), (file.Permissions, file.Shared));
    }

    [Fact]
    public async Task A_node_that_was_guessed_raw_refuses_to_become_something_else()
    {
        await using var fixture = new FileFixture();
        string path = fixture.Directory.File("disk", 4096);
        BlockNode node = await fixture.Graph.OpenImageAsync(path, null, new OpenContext(), new NodeSettings());
        Assert.Equal("raw", node.Driver.Name);
        BlockBackend disk = await fixture.UseAsync(node);
        byte[] qcow2 = [0x51, 0x46, 0x49, 0xFB, 0, 0, 0, 3];
        await disk.WriteAsync(512, qcow2);
        var refused = await Assert.ThrowsAsync<BlockException>(async () => await disk.WriteAsync(0, qcow2));
        Assert.Equal(Errno.EPERM, refused.Errno);
        await disk.WriteAsync(0, qcow2.AsMemory(0, 3));
        await Assert.ThrowsAsync<BlockException>(async () => await disk.WriteAsync(3, qcow2.AsMemory(3)));
        await disk.WriteAsync(100, qcow2);
        byte[] head = new byte[8];
        await disk.ReadAsync(0, head);
        Assert.Equal([0x51, 0x46, 0x49, 0, 0, 0, 0, 0], head);
    }

    private sealed class RawFixture : IAsyncDisposable
    {
        private readonly FileFixture _files = new();

        public string Path => _files.Directory["disk"];

        public async Task<BlockBackend> OpenAsync(long? offset = null, long? size = null, string locking = "auto")
        {
            var options = new JsonObject
            {
                ["driver"] = "raw",
                ["file"] = new JsonObject { ["driver"] = "file", ["filename"] = Path, ["locking"] = locking },
            };
            if (offset is not null) options["offset"] = offset;
            if (size is not null) options["size"] = size;
            return await _files.UseAsync(await _files.Graph.OpenNodeAsync(options, new OpenContext()));
        }

        public ValueTask DisposeAsync() => _files.DisposeAsync();
    }
}
