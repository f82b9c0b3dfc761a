using System.Diagnostics;
using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Protocols.File;
using Varve.Tests.Support;

namespace Varve.Tests.Protocols.File;

public class ImageLocksTests
{
    private const BlockPermissions ExclusiveShare = BlockPermissions.ConsistentRead | BlockPermissions.WriteUnchanged;   // as a format

    [Fact]
    public async Task The_reference_does_not_touch_an_image_we_write_to()
    {
        Tool.Need("qemu-img");
        await using var fixture = new FileFixture();
        string path = fixture.Directory["image.qcow2"];
        Assert.Equal(0, (await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", path, "1M")).ExitCode);
        BlockBackend writer = await fixture.UseAsync(await fixture.OpenNodeAsync(path), shared: ExclusiveShare);

        Tool.Result info = await Tool.RunAsync("qemu-img", "info", path);
        Assert.Equal(1, info.ExitCode);
        Assert.Contains("Failed to get shared \"write\" lock", info.Error, StringComparison.Ordinal);
        Tool.Result create = await Tool.RunAsync("qemu-img", "create", "-q", "-f", "raw", path, "1M");
        Assert.Contains("Failed to get \"write\" lock", create.Error, StringComparison.Ordinal);
        Assert.Equal(0, (await Tool.RunAsync("qemu-img", "info", "-U", path)).ExitCode);

        await fixture.CloseAsync(writer);
        Assert.Equal(0, (await Tool.RunAsync("qemu-img", "info", path)).ExitCode);
    }

    [Fact]
    public async Task We_do_not_touch_an_image_the_reference_writes_to_and_say_which_process_it_is()
    {
        await using var fixture = new FileFixture();
        string path = fixture.Directory["image.qcow2"];
        Assert.Equal(0, (await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", path, "1M")).ExitCode);
        using Process holder = Tool.Start("qemu-io", "-f", "qcow2", path);
        await holder.StandardInput.WriteLineAsync("write 0 512");
        await holder.StandardInput.FlushAsync();
        while (await holder.StandardOutput.ReadLineAsync() is { } line && !line.Contains("512/512", StringComparison.Ordinal)) { }

        BlockNode node = await fixture.OpenNodeAsync(path);
        var refused = await Assert.ThrowsAsync<BlockException>(() => fixture.UseAsync(node, shared: ExclusiveShare));
        Assert.Equal((BlockErrorKind.InUse, "Failed to get \"write\" lock"), (refused.Kind, refused.Message));
        Assert.Equal($"Is another process using the image [{path}]?\nIt is locked by process {holder.Id} (qemu-io).", refused.Hint);

        refused = await Assert.ThrowsAsync<BlockException>(() => fixture.UseAsync(node, BlockPermissions.ConsistentRead, ExclusiveShare));
        Assert.Equal("Failed to get shared \"write\" lock", refused.Message);

        // Who looks on with force-share bears the writer, and the writer does not mind.
        BlockNode onlooker = await fixture.OpenNodeAsync(path, new NodeSettings { ReadOnly = true, ForceShare = true });
        await fixture.UseAsync(onlooker, BlockPermissions.ConsistentRead, ExclusiveShare);
        // Without locking nobody asks.
        await fixture.UseAsync(await fixture.OpenNodeAsync(path, options: new JsonObject { ["locking"] = "off" }), shared: ExclusiveShare);

        holder.StandardInput.Close();
        await holder.WaitForExitAsync();
        Assert.Equal(0, holder.ExitCode);
        await fixture.UseAsync(node, BlockPermissions.ConsistentRead, ExclusiveShare);
    }

    [Fact]
    public async Task A_refused_user_leaves_no_lock_behind()
    {
        await using var fixture = new FileFixture();
        await using var other = new FileFixture();
        string path = fixture.Directory.File("disk", 4096);
        BlockBackend first = await fixture.UseAsync(await fixture.OpenNodeAsync(path), shared: BlockPermissions.All & ~BlockPermissions.Write);
        BlockNode node = await other.OpenNodeAsync(path);
        var refused = await Assert.ThrowsAsync<BlockException>(() => other.UseAsync(node, shared: BlockPermissions.None));
        Assert.EndsWith("It is locked by this process.", refused.Hint, StringComparison.Ordinal);
        await fixture.CloseAsync(first);
        await fixture.UseAsync(await fixture.OpenNodeAsync(path), shared: BlockPermissions.None);   // would meet what the refused one left
    }

    [Fact]
    public async Task Reopening_for_writing_keeps_the_locks_and_the_file_even_when_the_name_is_another_files_by_then()
    {
        await using var fixture = new FileFixture();
        await using var other = new FileFixture();
        string path = fixture.Directory.File("disk", 4096), moved = fixture.Directory["moved"];
        BlockNode node = await fixture.OpenNodeAsync(path, new NodeSettings { ReadOnly = true });
        BlockBackend disk = await fixture.UseAsync(node, BlockPermissions.ConsistentRead, BlockPermissions.ConsistentRead);
        System.IO.File.Move(path, moved);
        fixture.Directory.File("disk", 4096);

        await ChangeAsync(fixture, change =>
        {
            change.SetReadOnly(node, readOnly: false);
            change.SetPermissions(disk, FileFixture.ReadWrite, BlockPermissions.ConsistentRead);
        });
        await disk.WriteAsync(0, new byte[] { 42 });
        Assert.Equal(42, (await System.IO.File.ReadAllBytesAsync(moved))[0]);
        Assert.Equal(0, (await System.IO.File.ReadAllBytesAsync(path))[0]);
        BlockNode second = await other.OpenNodeAsync(moved);
        var refused = await Assert.ThrowsAsync<BlockException>(() => other.UseAsync(second));
        Assert.Equal("Failed to get \"write\" lock", refused.Message);

        await ChangeAsync(fixture, change =>
        {
            change.SetPermissions(disk, BlockPermissions.ConsistentRead, BlockPermissions.All);
            change.SetReadOnly(node, readOnly: true);
        });
        Assert.True(node.IsReadOnly);
        await other.UseAsync(second);
    }

    [Fact]
    public async Task With_auto_read_only_the_file_is_writable_while_there_is_a_writer()
    {
        await using var fixture = new FileFixture();
        var node = (FileNode)await fixture.OpenNodeAsync(fixture.Directory.File("disk", 4096), new NodeSettings { AutoReadOnly = true });
        await fixture.UseAsync(node, BlockPermissions.ConsistentRead, BlockPermissions.All);
        Assert.False(node.IsOpenForWriting);
        BlockBackend writer = await fixture.UseAsync(node);
        Assert.True(node.IsOpenForWriting);
        await writer.WriteAsync(0, new byte[512]);
        await fixture.CloseAsync(writer);
        Assert.False(node.IsOpenForWriting);
    }

    [Theory]
    [InlineData("lock:\t1: OFDLCK ADVISORY  READ -1 fe:00:1234 100 101", true)]
    [InlineData("lock:\t1: OFDLCK ADVISORY  READ -1 fe:00:1234 0 EOF", true)]
    [InlineData("lock:\t1: OFDLCK ADVISORY  READ -1 fe:00:1234 203 203", false)]
    [InlineData("lock:\t1: OFDLCK ADVISORY  READ -1 fe:00:11234 100 101", false)]
    [InlineData("pos:\t0\nflags:\t02\nlock:", false)]
    public void The_holder_of_a_lock_is_known_by_its_descriptors_lock_lines(string text, bool expected)
        => Assert.Equal(expected, LockHolder.HasLock(text, inode: 1234, offset: 101));

    private static async Task ChangeAsync(FileFixture fixture, Action<GraphTransaction> edit)
    {
        var change = new GraphTransaction(fixture.Graph);
        edit(change);
        await change.PrepareAsync();
        await change.CommitAsync();
    }
}
