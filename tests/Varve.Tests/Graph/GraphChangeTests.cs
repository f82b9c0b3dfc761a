using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Graph;

public sealed class GraphChangeTests
{
    [Fact]
    public async Task A_frozen_link_stays_where_it_points()
    {
        await using var test = new TestGraph();
        await test.AddAsync("{'driver':'memory','node-name':'base'}");
        await test.AddAsync("{'driver':'memory','node-name':'other'}");
        BlockNode top = await test.AddAsync("{'driver':'overlay','node-name':'top','backing':'base'}");
        BlockChild link = top.BackingChild!;
        link.FreezeCount++;
        var change = new GraphTransaction(test.Graph);
        Assert.Equal("Cannot change frozen 'backing' link from 'top' to 'base'",
            Assert.Throws<BlockException>(() => change.Retarget(link, test.Graph.FindNode("other")!)).Message);
        Assert.Throws<BlockException>(() => change.Detach(link));
        change.Retarget(link, test.Graph.FindNode("base")!);
        link.FreezeCount--;
        change.Detach(link);
    }

    [Fact]
    public async Task A_change_that_would_make_a_cycle_is_refused()
    {
        await using var test = new TestGraph();
        BlockNode low = await test.AddAsync("{'driver':'overlay','node-name':'low'}");
        BlockNode top = await test.AddAsync("{'driver':'overlay','node-name':'top','backing':'low'}");
        var change = new GraphTransaction(test.Graph);
        change.Attach(low, "backing", ChildRole.Cow, top);
        var e = await Assert.ThrowsAsync<BlockException>(async () => await change.PrepareAsync());
        Assert.Contains("would create a cycle", e.Message, StringComparison.Ordinal);
        Assert.Null(low.BackingChild);
    }

    [Fact]
    public async Task A_node_lives_until_its_last_reference_goes()
    {
        await using var test = new TestGraph();
        BlockNode top = await test.OpenAsync("json:{'driver':'raw','file':{'driver':'memory','node-name':'m'}}", readOnly: false);
        BlockBackend backend = await test.UseAsync(top);
        await test.Graph.ReleaseAsync(top);
        Assert.NotNull(test.Graph.FindNode("m"));
        await backend.CloseAsync();
        Assert.Empty(test.Graph.Nodes);
        Assert.Empty(test.Memory.OpenNodes);
    }

    [Theory]
    [InlineData("nope", "Failed to find node with node-name='nope'")]
    [InlineData("used", "Node used is in use")]
    [InlineData("busy", "Node 'busy' is busy: block device is in use by block job: stream")]
    [InlineData("inner", "Node inner is not owned by the monitor")]
    [InlineData("shared", "Block device shared is in use")]
    [InlineData("below", "Node 'below' is busy: node is used as backing hd of 'above'")]
    public async Task Deleting_a_node_that_is_needed_is_refused(string name, string message)
    {
        await using var test = new TestGraph();
        await test.UseAsync(await test.AddAsync("{'driver':'memory','node-name':'used'}"));
        (await test.AddAsync("{'driver':'memory','node-name':'busy'}")).OperationBlockers.Add("block device is in use by block job: stream");
        await test.AddAsync("{'driver':'raw','node-name':'r','file':{'driver':'memory','node-name':'inner'}}");
        await test.AddAsync("{'driver':'memory','node-name':'shared'}");
        await test.AddAsync("{'driver':'raw','node-name':'s','file':'shared'}");
        await test.AddAsync("{'driver':'memory','node-name':'below'}");
        await test.AddAsync("{'driver':'overlay','node-name':'above','backing':'below'}");
        Assert.Equal(message, (await Assert.ThrowsAsync<BlockException>(async () => await test.Graph.DeleteNodeAsync(name))).Message);
    }

    [Fact]
    public async Task A_drained_node_has_no_request_and_lets_those_that_came_meanwhile_go_on()
    {
        await using var test = new TestGraph();
        var node = (MemoryNode)await test.AddAsync("{'driver':'memory','node-name':'m'}");
        BlockBackend backend = await test.UseAsync(node);
        var gate = new TaskCompletionSource();
        node.OnRequest = (_, _, _) => new ValueTask(gate.Task);
        Task running = backend.WriteAsync(0, new byte[] { 1 }).AsTask();
        Task<DrainedSection> draining = BlockGraph.DrainAsync(node).AsTask();
        Assert.False(draining.IsCompleted);
        Task late = backend.WriteAsync(0, new byte[] { 2 }).AsTask();
        gate.SetResult();
        DrainedSection section = await draining;
        Assert.True(running.IsCompletedSuccessfully);
        Assert.Equal(1, node.Bytes.ToArray()[0]);
        await Task.Delay(20);
        Assert.False(late.IsCompleted);
        section.Dispose();
        await late;
        Assert.Equal(2, node.Bytes.ToArray()[0]);
    }

    [Fact]
    public async Task Drained_sections_nest()
    {
        await using var test = new TestGraph();
        BlockNode node = await test.AddAsync("{'driver':'memory','node-name':'m'}");
        BlockBackend backend = await test.UseAsync(node);
        DrainedSection outer = await BlockGraph.DrainAsync(node), inner = await BlockGraph.DrainAsync(node);
        Task write = backend.WriteAsync(0, new byte[] { 1 }).AsTask();
        inner.Dispose();
        await Task.Delay(20);
        Assert.False(write.IsCompleted);
        outer.Dispose();
        await write;
    }

    [Fact]
    public async Task A_node_is_replaced_under_running_requests_without_losing_any()
    {
        await using var test = new TestGraph();
        var bytes = new MemoryBytes(new byte[1 << 20]);
        test.Memory.Files["disk"] = bytes;
        BlockNode first = await test.AddAsync("{'driver':'memory','node-name':'a','filename':'disk'}");
        BlockNode second = await test.AddAsync("{'driver':'raw','node-name':'b','file':{'driver':'memory','filename':'disk'}}");
        BlockBackend backend = await test.UseAsync(first);
        using var stop = new CancellationTokenSource();
        long written = 0;
        Task[] writers = [.. Enumerable.Range(0, 4).Select(w => Task.Run(async () =>
        {
            byte[] block = new byte[512];
            for (int i = 0; !stop.IsCancellationRequested; i++)
            {
                block.AsSpan().Fill((byte)i);
                await backend.WriteAsync((w * 64 + i % 64) * 512L, block);
                byte[] back = new byte[512];
                await backend.ReadAsync((w * 64 + i % 64) * 512L, back);
                Assert.Equal(block, back);
                Interlocked.Increment(ref written);
                await Task.Yield();
            }
        }))];

        for (int i = 0; i < 40; i++)
        {
            using (await test.Graph.ControlLock.EnterAsync())
            {
                var change = new GraphTransaction(test.Graph);
                change.ReplaceNode(i % 2 == 0 ? first : second, i % 2 == 0 ? second : first, edge => edge.Parent is BlockBackend);
                await change.PrepareAsync();
                await change.CommitAsync();
            }

            await Task.Delay(2);
        }

        await stop.CancelAsync();
        await Task.WhenAll(writers);
        Assert.True(written > 0);
        Assert.Same(first, backend.Node);
    }
}
