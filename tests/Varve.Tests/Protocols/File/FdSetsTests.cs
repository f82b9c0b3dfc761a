using Microsoft.Win32.SafeHandles;
using Varve.Graph;
using Varve.Protocols.File;

namespace Varve.Tests.Protocols.File;

public class FdSetsTests
{
    [Fact]
    public async Task A_file_is_opened_through_the_descriptor_with_the_access_it_needs()
    {
        await using var fixture = new FileFixture();
        string path = fixture.Directory.File("disk", 4096);
        FdSets sets = fixture.Graph.FdSets;
        (long id, _) = sets.Add(Open(path, FileAccess.Read), null, "for reading");
        string name = $"/dev/fdset/{id}";
        var refused = await Assert.ThrowsAsync<BlockException>(() => fixture.OpenNodeAsync(name));
        Assert.Equal($"Could not dup FD for {name} flags 2: Permission denied", refused.Message);

        sets.Add(Open(path, FileAccess.ReadWrite), id, "for writing");
        System.IO.File.Delete(path);
        BlockBackend disk = await fixture.OpenAsync(name);
        await disk.WriteAsync(0, new byte[] { 1, 2, 3 });
        BlockBackend reader = await fixture.UseAsync(
            await fixture.OpenNodeAsync(name, new NodeSettings { ReadOnly = true }), BlockPermissions.ConsistentRead, BlockPermissions.All);
        byte[] back = new byte[3];
        await reader.ReadAsync(0, back);
        Assert.Equal([1, 2, 3], back);
    }

    [Fact]
    public async Task With_auto_read_only_each_access_takes_its_own_descriptor_of_the_set()
    {
        await using var fixture = new FileFixture();
        string path = fixture.Directory.File("disk", 4096);
        fixture.Graph.FdSets.Add(Open(path, FileAccess.Read), 4, null);
        var node = (FileNode)await fixture.OpenNodeAsync("/dev/fdset/4", new NodeSettings { AutoReadOnly = true });
        await fixture.UseAsync(node, BlockPermissions.ConsistentRead, BlockPermissions.All);
        await Assert.ThrowsAsync<BlockException>(() => fixture.UseAsync(node));
        fixture.Graph.FdSets.Add(Open(path, FileAccess.ReadWrite), 4, null);
        BlockBackend writer = await fixture.UseAsync(node);
        await writer.WriteAsync(0, new byte[512]);
    }

    [Fact]
    public async Task A_set_lives_while_something_in_it_or_out_of_it_is_open()
    {
        await using var fixture = new FileFixture();
        string path = fixture.Directory.File("disk", 4096);
        FdSets sets = fixture.Graph.FdSets;
        (long id, int first) = sets.Add(Open(path, FileAccess.ReadWrite), 7, "a");
        (_, int second) = sets.Add(Open(path, FileAccess.ReadWrite), 7, null);
        Assert.Equal(7, id);
        FdSets.SetInfo info = Assert.Single(sets.Query());
        Assert.Equal([(first, "a"), (second, null)], info.Descriptors.Select(d => (d.Fd, d.Opaque)));

        BlockBackend disk = await fixture.OpenAsync("/dev/fdset/7");
        sets.Remove(7, first);
        sets.Remove(7, null);
        Assert.Empty(Assert.Single(sets.Query()).Descriptors);
        await disk.WriteAsync(0, new byte[512]);   // a duplicate does not mind
        Assert.Equal(
            "File descriptor named 'fdset-id:7, fd:99' not found",
            Assert.Throws<BlockException>(() => sets.Remove(7, 99)).Message);
        await fixture.CloseAsync(disk);
        Assert.Empty(sets.Query());
        Assert.Equal("File descriptor named 'fdset-id:7' not found", Assert.Throws<BlockException>(() => sets.Remove(7, null)).Message);
    }

    [Fact]
    public void New_sets_take_the_lowest_free_number_and_are_listed_from_the_highest()
    {
        using var sets = new FdSets();
        using var directory = new Support.TempDirectory();
        string path = directory.File("disk", 512);
        Assert.Equal(0, sets.Add(Open(path, FileAccess.Read), null, null).Id);
        Assert.Equal(1, sets.Add(Open(path, FileAccess.Read), 1, null).Id);
        Assert.Equal(5, sets.Add(Open(path, FileAccess.Read), 5, null).Id);
        Assert.Equal(2, sets.Add(Open(path, FileAccess.Read), null, null).Id);
        Assert.Equal([5, 2, 1, 0], sets.Query().Select(s => s.Id));
        SafeFileHandle refused = Open(path, FileAccess.Read);
        var negative = Assert.Throws<BlockException>(() => sets.Add(refused, -1, null));
        Assert.Equal("Parameter 'fdset-id' expects a non-negative value", negative.Message);
        Assert.True(refused.IsClosed);
    }

    [Fact]
    public async Task When_the_last_monitor_has_gone_sets_nobody_uses_are_closed()
    {
        await using var fixture = new FileFixture();
        string path = fixture.Directory.File("disk", 4096);
        FdSets sets = fixture.Graph.FdSets;
        SafeFileHandle unused = Open(path, FileAccess.ReadWrite);
        sets.Add(unused, 1, null);
        sets.Add(Open(path, FileAccess.ReadWrite), 2, null);
        await fixture.OpenAsync("/dev/fdset/2");
        sets.RemoveUnused();
        Assert.True(unused.IsClosed);
        Assert.Equal(2, Assert.Single(sets.Query()).Id);
    }

    private static SafeFileHandle Open(string path, FileAccess access)
        => System.IO.File.OpenHandle(path, FileMode.Open, access, FileShare.ReadWrite | FileShare.Delete);
}
