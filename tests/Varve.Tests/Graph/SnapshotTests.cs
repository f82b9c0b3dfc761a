using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Graph;

public sealed class SnapshotTests
{
    [Fact]
    public async Task A_snapshot_under_running_writes_keeps_what_was_before_in_the_old_image_and_the_rest_in_the_new()
    {
        await using var test = new TestGraph();
        await test.CreateAsync("a.qcow2");
        BlockNode old = await test.AddAsync("{'driver':'qcow2','node-name':'a','file':{'driver':'file','filename':'$/a.qcow2'}}");
        BlockBackend backend = await test.UseAsync(old);
        await backend.WriteAsync(0, new byte[] { 1, 1, 1 });
        using var stop = new CancellationTokenSource();
        Task writer = Task.Run(async () =>
        {
            for (byte i = 1; !stop.IsCancellationRequested; i++) await backend.WriteAsync(512 << 10, new[] { i });
        });

        await test.Graph.SnapshotSyncAsync(old, test.Directory["b.qcow2"], "b", "qcow2", NewImageMode.AbsolutePaths, TestGraph.Everything, default);
        await backend.WriteAsync(0, new byte[] { 2 });
        await stop.CancelAsync();
        await writer;

        BlockNode overlay = test.Graph.FindNode("b")!;
        Assert.Same(overlay, backend.Node);
        Assert.Same(old, overlay.BackingChild!.Node);
        Assert.True(old.IsReadOnly);
        Assert.Equal(test.Directory["b.qcow2"], overlay.Filename);
        Assert.Equal(test.Directory["a.qcow2"], overlay.RecordedBackingFile);
        byte[] seen = new byte[3], below = new byte[3];
        await backend.ReadAsync(0, seen);
        await old.ReadAsync(0, below, default);
        Assert.Equal([2, 1, 1], seen);
        Assert.Equal([1, 1, 1], below);
        await backend.CloseAsync();
    }

    [Theory]
    [InlineData("top", "top", "The overlay already has a backing image")]
    [InlineData("m", "r", "The overlay does not support backing images")]
    [InlineData("m", "cor", "Filters cannot be used as overlays")]
    [InlineData("m", "used", "The overlay is already in use")]
    [InlineData("busy", "free", "Node 'busy' is busy: a reason")]
    public async Task An_overlay_that_cannot_be_one_is_refused(string node, string overlay, string message)
    {
        await using var test = new TestGraph();
        await test.AddAsync("{'driver':'memory','node-name':'m'}");
        await test.AddAsync("{'driver':'overlay','node-name':'top','backing':{'driver':'memory'}}");
        await test.AddAsync("{'driver':'raw','node-name':'r','file':{'driver':'memory'}}");
        await test.AddAsync("{'driver':'copy-on-read','node-name':'cor','file':'r'}");
        await test.AddAsync("{'driver':'overlay','node-name':'free'}");
        (await test.AddAsync("{'driver':'memory','node-name':'busy'}")).OperationBlockers.Add("a reason");
        await test.UseAsync(await test.AddAsync("{'driver':'overlay','node-name':'used'}"), BlockPermissions.ConsistentRead);
        var e = await Assert.ThrowsAsync<BlockException>(async () => await test.Graph.SnapshotAsync(test.Graph.LookUp(node), test.Graph.LookUp(overlay)));
        Assert.Equal(message, e.Message);
    }

    [Fact]
    public async Task A_conflict_leaves_the_chain_as_it_was()
    {
        await using var test = new TestGraph();
        BlockNode node = await test.AddAsync("{'driver':'memory','node-name':'m'}");
        BlockNode overlay = await test.AddAsync("{'driver':'overlay','node-name':'o','read-only':true}");
        BlockBackend backend = await test.UseAsync(node);
        await Assert.ThrowsAsync<BlockException>(async () => await test.Graph.SnapshotAsync(node, overlay));
        Assert.Same(node, backend.Node);
        Assert.Null(overlay.BackingChild);
        await backend.WriteAsync(0, new byte[] { 7 });
    }

    [Fact]
    public async Task A_node_that_somebody_else_writes_to_stays_writable_below_the_overlay()
    {
        await using var test = new TestGraph();
        BlockNode node = await test.AddAsync("{'driver':'raw','node-name':'r','file':{'driver':'memory','node-name':'m'}}");
        BlockNode overlay = await test.AddAsync("{'driver':'overlay','node-name':'o'}");
        BlockBackend backend = await test.UseAsync(node);
        await test.Graph.SnapshotAsync(node, overlay);
        Assert.Same(overlay, backend.Node);
        Assert.True(node.IsReadOnly);
        await test.Graph.SetReadOnlyAsync(node, false);
        Assert.False(node.IsReadOnly);
    }

    [Theory]
    [InlineData("{'driver':'null-co','size':1048576}", "raw", "s", "New overlay node-name already in use")]
    [InlineData("{'driver':'null-co','size':1048576}", "foo", "new", "Unknown file format 'foo'")]
    [InlineData("{'driver':'null-co','size':1048576}", "raw", "new", "Backing file not supported for file format 'raw'")]
    public async Task A_snapshot_by_name_that_cannot_be_made_is_refused(string options, string format, string name, string message)
    {
        await using var test = new TestGraph();
        BlockNode node = await test.AddAsync(options.Insert(1, "'node-name':'s',"));
        var e = await Assert.ThrowsAsync<BlockException>(async () => await test.Graph.SnapshotSyncAsync(
            node, test.Directory["new.img"], name, format, NewImageMode.AbsolutePaths, TestGraph.Everything, default));
        Assert.Equal(message, e.Message);
        Assert.False(File.Exists(test.Directory["new.img"]));
    }
}
