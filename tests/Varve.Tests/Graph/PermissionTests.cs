using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Graph;

public sealed class PermissionTests
{
    private const BlockPermissions Read = BlockPermissions.ConsistentRead, Write = BlockPermissions.Write, All = BlockPermissions.All;

    [Fact]
    public async Task A_conflict_names_both_users()
    {
        await using var test = new TestGraph();
        BlockNode node = await test.AddAsync("{'driver':'memory','node-name':'m'}");
        await test.AddAsync("{'driver':'raw','node-name':'r','offset':0,'size':512,'file':'m'}");
        await test.Graph.OpenBackendAsync(node, Read, All & ~Write, "export 'a'");
        var e = await Assert.ThrowsAsync<BlockException>(async () => await test.Graph.OpenBackendAsync(test.Graph.FindNode("r")!, Write, All));
        Assert.Equal(
            "Permission conflict on node 'm': permissions 'write' are both required by node 'r' (uses node 'm' as 'file' child) "
            + "and unshared by export 'a' (uses node 'm' as 'root' child).", e.Message);
        Assert.Equal(Errno.EPERM, e.Errno);
        Assert.Equal(Read, node.CumulativePermissions);
    }

    [Fact]
    public async Task A_format_lets_nobody_else_write_its_file()
    {
        await using var test = new TestGraph();
        await test.CreateAsync("a.qcow2");
        await test.AddAsync("{'driver':'qcow2','node-name':'q','file':{'driver':'file','node-name':'f','filename':'$/a.qcow2'}}");
        var e = await Assert.ThrowsAsync<BlockException>(async () => await test.Graph.OpenBackendAsync(test.Graph.FindNode("f")!, Write, All));
        Assert.Equal(
            "Permission conflict on node 'f': permissions 'write' are both required by an unnamed block device (uses node 'f' as 'root' child) "
            + "and unshared by node 'q' (uses node 'f' as 'file' child).", e.Message);
    }

    [Fact]
    public async Task A_backing_image_is_only_read_and_may_not_change_under_a_reader_that_forbids_it()
    {
        await using var test = new TestGraph();
        BlockNode baseNode = await test.AddAsync("{'driver':'memory','node-name':'base'}");
        BlockNode top = await test.AddAsync("{'driver':'overlay','node-name':'top','backing':'base'}");
        BlockBackend backend = await test.UseAsync(top, Read | Write, Read | BlockPermissions.WriteUnchanged);
        Assert.Equal((Read, Read | BlockPermissions.WriteUnchanged), (baseNode.CumulativePermissions, baseNode.CumulativeShared));
        await Assert.ThrowsAsync<BlockException>(async () => await test.UseAsync(baseNode, Write));
        await backend.CloseAsync();
        Assert.Equal(All, baseNode.CumulativeShared);
        await test.UseAsync(baseNode, Write);
    }

    [Fact]
    public async Task A_read_only_node_takes_no_writer()
    {
        await using var test = new TestGraph();
        BlockNode node = await test.AddAsync("{'driver':'memory','node-name':'m','read-only':true}");
        Assert.Equal("Block node is read-only", (await Assert.ThrowsAsync<BlockException>(async () => await test.UseAsync(node))).Message);
        BlockBackend reader = await test.UseAsync(node, Read);
        Assert.Equal(BlockErrorKind.ReadOnly, (await Assert.ThrowsAsync<BlockException>(async () => await reader.WriteAsync(0, new byte[1]))).Kind);
    }

    [Fact]
    public async Task A_node_with_a_writer_does_not_become_read_only()
    {
        await using var test = new TestGraph();
        BlockNode node = await test.AddAsync("{'driver':'raw','node-name':'r','file':{'driver':'memory','node-name':'m'}}");
        BlockBackend writer = await test.UseAsync(node);
        Assert.Equal("Read-only block node 'r' cannot support read-write users",
            (await Assert.ThrowsAsync<BlockException>(async () => await test.Graph.SetReadOnlyAsync(node, true))).Message);
        Assert.False(node.IsReadOnly);
        await writer.CloseAsync();
        await test.Graph.SetReadOnlyAsync(node, true);
        Assert.True(node.IsReadOnly && test.Graph.FindNode("m")!.IsReadOnly);
        await test.Graph.SetReadOnlyAsync(node, false);
        Assert.False(node.IsReadOnly || test.Graph.FindNode("m")!.IsReadOnly);
    }

    [Fact]
    public async Task A_refusal_by_a_driver_deep_below_undoes_what_drivers_above_had_acquired()
    {
        await using var test = new TestGraph();
        BlockNode node = await test.AddAsync("{'driver':'raw','node-name':'r','file':{'driver':'memory','node-name':'m'}}");
        await test.AddAsync("{'driver':'overlay','node-name':'o','backing':{'driver':'memory','node-name':'b'}}");
        var (m, b) = ((MemoryNode)test.Graph.FindNode("m")!, (MemoryNode)test.Graph.FindNode("b")!);
        m.OnPrepare = (needed, _) =>
        {
            if ((needed & Write) != 0) throw new BlockException(BlockErrorKind.InUse, "locked elsewhere");
        };
        (int prepared, int committed) = (b.Prepared, b.Committed);
        var change = new GraphTransaction(test.Graph);
        var first = new BlockBackend(test.Graph, "first", Read, All);
        var second = new BlockBackend(test.Graph, "second", Read | Write, All);
        change.Attach(first, "root", ChildRole.Primary, test.Graph.FindNode("o")!);
        change.Attach(second, "root", ChildRole.Primary, node);
        Assert.Equal("locked elsewhere", (await Assert.ThrowsAsync<BlockException>(async () => await change.PrepareAsync())).Message);
        Assert.Equal((b.Prepared - prepared, 0), (b.Aborted, b.Committed - committed));
        Assert.Empty(node.Parents);
        Assert.Empty(test.Graph.FindNode("o")!.Parents);
        Assert.Equal(BlockPermissions.None, node.CumulativePermissions);
    }
}
