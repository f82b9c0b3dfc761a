using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

public sealed class Qcow2SnapshotTests
{
    private const int Cluster = 65536;

    [Fact]
    public async Task A_write_after_a_snapshot_leaves_the_snapshot_alone()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1.MiB);
        await using OpenedImage opened = await image.OpenAsync();
        await opened.Backend.WriteAsync(0, Filled(1, 3 * Cluster));
        await CreateAsync(opened, "before");
        await opened.Backend.WriteAsync(Cluster, Filled(2, Cluster));
        Assert.Equal(2, await ByteAtAsync(opened.Backend, Cluster));
        await ApplyAsync(opened, "before");
        Assert.Equal(1, await ByteAtAsync(opened.Backend, Cluster));
        await AssertCleanAsync(image, opened);
    }

    [Fact]
    public async Task A_deleted_snapshot_gives_its_clusters_back()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1.MiB);
        await using OpenedImage opened = await image.OpenAsync();
        await opened.Backend.WriteAsync(0, Filled(1, 4 * Cluster));
        await CreateAsync(opened, "a");
        await opened.Backend.WriteAsync(0, Filled(2, 4 * Cluster));
        await DeleteAsync(opened, "a");
        long before = image.File.Length;
        await opened.Backend.WriteAsync(8 * Cluster, Filled(3, 4 * Cluster));
        await opened.Backend.FlushAsync();
        Assert.Equal(before, image.File.Length);
        Assert.Empty(opened.Node.InternalSnapshots);
        await AssertCleanAsync(image, opened);
    }

    [Fact]
    public async Task After_the_last_snapshot_is_gone_clusters_are_written_in_place_again()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1.MiB);
        await using OpenedImage opened = await image.OpenAsync();
        await opened.Backend.WriteAsync(0, Filled(1, Cluster));
        await CreateAsync(opened, "a");
        await DeleteAsync(opened, "a");
        BlockStatus before = await opened.Node.GetStatusAsync(0, Cluster, precise: true, default);
        await opened.Backend.WriteAsync(0, Filled(2, Cluster));
        BlockStatus after = await opened.Node.GetStatusAsync(0, Cluster, precise: true, default);
        Assert.Equal(before.HostOffset, after.HostOffset);
        await AssertCleanAsync(image, opened);
    }

    [Fact]
    public async Task Ids_count_up_from_the_largest_and_names_may_repeat()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1.MiB);
        await using OpenedImage opened = await image.OpenAsync();
        await CreateAsync(opened, "s");
        await CreateAsync(opened, "s");
        await CreateAsync(opened, "");
        await InternalSnapshots.DeleteAsync(opened.Backend.Node, "2", null);
        await CreateAsync(opened, "t");
        Assert.Equal(["1 s", "3 ", "4 t"], opened.Node.InternalSnapshots.Select(s => $"{s.Id} {s.Name}"));
        BlockException twice = await Assert.ThrowsAsync<BlockException>(
            async () => await InternalSnapshots.CreateAsync(opened.Backend.Node, new InternalSnapshot { Id = "3" }));
        Assert.Equal(Errno.EEXIST, twice.Errno);
    }

    [Fact]
    public async Task A_snapshot_is_applied_by_id_before_it_is_by_name()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1.MiB);
        await using OpenedImage opened = await image.OpenAsync();
        await opened.Backend.WriteAsync(0, Filled(1, 512));
        await CreateAsync(opened, "2");
        await opened.Backend.WriteAsync(0, Filled(2, 512));
        await CreateAsync(opened, "1");
        await ApplyAsync(opened, "1");
        Assert.Equal(1, await ByteAtAsync(opened.Backend, 0));
        BlockException missing = await Assert.ThrowsAsync<BlockException>(() => ApplyAsync(opened, "nope"));
        Assert.Equal("Failed to load snapshot: No such file or directory", missing.Message);
        BlockException gone = await Assert.ThrowsAsync<BlockException>(() => DeleteAsync(opened, "nope"));
        Assert.Equal(BlockErrorKind.NotFound, gone.Kind);
    }

    [Fact]
    public async Task Applying_a_snapshot_of_another_size_resizes_the_disk()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1.MiB, """{"cluster-size": 512}""");
        await using OpenedImage opened = await image.OpenAsync();
        await opened.Backend.WriteAsync(1.MiB - 512, Filled(1, 512));
        await CreateAsync(opened, "small");
        await opened.Backend.Node.ResizeAsync(9.MiB, PreallocationMode.Off, default);
        await opened.Backend.WriteAsync(9.MiB - 512, Filled(2, 512));
        await CreateAsync(opened, "large");
        await ApplyAsync(opened, "small");
        Assert.Equal(1.MiB, opened.Backend.Length);
        Assert.Equal(1, await ByteAtAsync(opened.Backend, 1.MiB - 1));
        await ApplyAsync(opened, "large");
        Assert.Equal(9.MiB, opened.Backend.Length);
        Assert.Equal(2, await ByteAtAsync(opened.Backend, 9.MiB - 1));
        await AssertCleanAsync(image, opened);
    }

    [Fact]
    public async Task Machine_state_is_kept_by_a_snapshot_and_comes_back_with_it()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1.MiB + 512, """{"cluster-size": 512}""");
        await using OpenedImage opened = await image.OpenAsync();
        await opened.Backend.WriteVmStateAsync(100, Filled(7, 100_000));
        await InternalSnapshots.CreateAsync(opened.Backend.Node, new InternalSnapshot { Name = "s", VmStateSize = 100_100 });
        Assert.Equal(0, await VmByteAtAsync(opened.Backend, 100));   // given up by the active disk
        await opened.Backend.WriteVmStateAsync(0, Filled(8, 512));
        Assert.Equal(8, await VmByteAtAsync(opened.Backend, 0));
        await ApplyAsync(opened, "s");
        Assert.Equal(0, await VmByteAtAsync(opened.Backend, 99));
        Assert.Equal(7, await VmByteAtAsync(opened.Backend, 100));
        Assert.Equal(7, await VmByteAtAsync(opened.Backend, 100_099));
        await AssertCleanAsync(image, opened);
    }

    [Fact]
    public async Task Machine_state_does_not_show_in_a_disk_that_grows_over_it()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1.MiB, """{"cluster-size": 512}""");
        await using OpenedImage opened = await image.OpenAsync();
        await opened.Backend.WriteVmStateAsync(0, Filled(7, 512));
        await opened.Backend.Node.ResizeAsync(2.MiB, PreallocationMode.Off, default);
        byte[] grown = new byte[1.MiB];
        await opened.Backend.ReadAsync(1.MiB, grown);
        Assert.True(grown.AsSpan().IndexOfAnyExcept((byte)0) < 0);
        await AssertCleanAsync(image, opened);
    }

    [Fact]
    public async Task Partial_writes_of_machine_state_keep_what_a_snapshot_shares()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1.MiB);
        await using OpenedImage opened = await image.OpenAsync();
        await opened.Backend.WriteVmStateAsync(0, Filled(7, Cluster));
        await CreateAsync(opened, "s");
        await opened.Backend.WriteVmStateAsync(1000, Filled(8, 1000));
        Assert.Equal(7, await VmByteAtAsync(opened.Backend, 999));
        Assert.Equal(8, await VmByteAtAsync(opened.Backend, 1000));
        Assert.Equal(7, await VmByteAtAsync(opened.Backend, 2000));
        await AssertCleanAsync(image, opened);
    }

    [Fact]
    public async Task Refcounts_too_narrow_for_a_snapshot_refuse_it_and_leave_the_image_clean()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1.MiB, """{"refcount-bits": 1}""");
        await using OpenedImage opened = await image.OpenAsync();
        await opened.Backend.WriteAsync(0, Filled(1, 2 * Cluster));
        BlockException refused = await Assert.ThrowsAsync<BlockException>(() => CreateAsync(opened, "s"));
        Assert.Equal(Errno.EINVAL, refused.Errno);
        Assert.Empty(opened.Node.InternalSnapshots);
        await opened.Backend.WriteAsync(0, Filled(2, Cluster));
        Assert.Equal(1, await ByteAtAsync(opened.Backend, Cluster));
        await AssertCleanAsync(image, opened);
    }

    [Fact]
    public async Task A_snapshot_can_be_shown_by_a_read_only_node()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1.MiB);
        await using (OpenedImage writer = await image.OpenAsync())
        {
            await writer.Backend.WriteAsync(0, Filled(1, Cluster));
            await CreateAsync(writer, "s");
            await writer.Backend.WriteAsync(0, Filled(2, Cluster));
            await writer.Backend.Node.ResizeAsync(2.MiB, PreallocationMode.Off, default);
        }

        await using OpenedImage opened = await image.OpenAsync(readOnly: true);
        BlockException missing = await Assert.ThrowsAsync<BlockException>(
            async () => await InternalSnapshots.LoadAsync(opened.Backend.Node, SnapshotSelector.Parse("snapshot.id=1,snapshot.name=no")));
        Assert.Equal("Can't find snapshot", missing.Message);
        await InternalSnapshots.LoadAsync(opened.Backend.Node, SnapshotSelector.Parse("snapshot.id=1,snapshot.name=s"));
        Assert.Equal(1.MiB, opened.Backend.Length);
        Assert.Equal(1, await ByteAtAsync(opened.Backend, 0));
        using IDisposable held = await image.Graph.ControlLock.EnterAsync();
        await Assert.ThrowsAsync<BlockException>(async () => await image.Graph.SetReadOnlyAsync(opened.Backend.Node, readOnly: false));
    }

    [Fact]
    public async Task Names_are_cut_where_the_reference_cuts_them()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1.MiB);
        await using OpenedImage opened = await image.OpenAsync();
        await CreateAsync(opened, new string('x', 300));
        Assert.Equal(255, opened.Node.InternalSnapshots[0].Name.Length);
    }

    [Fact]
    public async Task The_raw_driver_passes_snapshots_on()
    {
        await using var fixture = new Qcow2Fixture();
        string path = fixture.CreateByReference("a.qcow2", "1M");
        var options = new JsonObject
        {
            ["driver"] = "raw",
            ["file"] = new JsonObject { ["driver"] = "qcow2", ["file"] = new JsonObject { ["driver"] = "file", ["filename"] = path } },
        };
        BlockNode node = await fixture.Graph.OpenNodeAsync(options, new OpenContext());
        BlockBackend backend = await fixture.Graph.OpenBackendAsync(node, Qcow2Fixture.ReadWrite, BlockPermissions.All);
        await InternalSnapshots.CreateAsync(node, new InternalSnapshot { Name = "s" });
        Assert.Equal("s", InternalSnapshots.Of(node)![0].Name);
        await backend.CloseAsync();
        await fixture.Graph.ReleaseAsync(node);
        Assert.Contains("s ", ReferenceTool.Run("qemu-img", "snapshot", "-l", path));
    }

    internal static async Task CreateAsync(OpenedImage opened, string name)
        => await InternalSnapshots.CreateAsync(opened.Backend.Node, new InternalSnapshot { Name = name });

    internal static async Task ApplyAsync(OpenedImage opened, string name) => await InternalSnapshots.ApplyAsync(opened.Backend.Node, name);

    internal static async Task DeleteAsync(OpenedImage opened, string name) => await InternalSnapshots.DeleteAsync(opened.Backend.Node, null, name);

    private static byte[] Filled(byte value, long length)
    {
        byte[] bytes = new byte[length];
        bytes.AsSpan().Fill(value);
        return bytes;
    }

    private static async Task<byte> ByteAtAsync(BlockBackend disk, long offset)
    {
        byte[] one = new byte[1];
        await disk.ReadAsync(offset, one);
        return one[0];
    }

    private static async Task<byte> VmByteAtAsync(BlockBackend disk, long position)
    {
        byte[] one = new byte[1];
        await disk.ReadVmStateAsync(position, one);
        return one[0];
    }

    /// <summary>Closed, the image has neither corruptions nor leaks, by our check and by the reference's.</summary>
    private static async Task AssertCleanAsync(MemoryImage image, OpenedImage opened)
    {
        await opened.DisposeAsync();
        (CheckResult result, List<string> lines) = await image.CheckAsync();
        Assert.True(result is { Corruptions: 0, Leaks: 0, CheckErrors: 0 }, string.Join('\n', lines));
        using var folder = new TempDirectory();
        await File.WriteAllBytesAsync(folder["image"], image.File.ToArray());
        Qcow2Fixture.AssertClean(folder["image"]);
    }
}
