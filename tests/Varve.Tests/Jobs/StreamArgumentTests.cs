using Varve.Graph;
using Varve.Jobs;
using Varve.Tests.Support;

namespace Varve.Tests.Jobs;

public sealed class StreamArgumentTests
{
    public static TheoryData<string, string> Refusals => new()
    {
        { "base base-node", "'base' and 'base-node' cannot be specified at the same time" },
        { "base bottom", "'base' and 'bottom' cannot be specified at the same time" },
        { "bottom base-node", "'bottom' and 'base-node' cannot be specified at the same time" },
        { "unknown device", "Cannot find device='nothing' nor node-name='nothing'" },
        { "unknown base", "Can't find 'nothing' in the backing chain" },
        { "unknown base-node", "Cannot find device='' nor node-name='nothing'" },
        { "base-node is top", "Node 'top' is not a backing image of 'top'" },
        { "base-node elsewhere", "Node 'other' is not a backing image of 'top'" },
        { "unknown bottom", "Cannot find device='' nor node-name='nothing'" },
        { "bottom is filter", "Node 'filter' is a filter, use a non-filter node as 'bottom'" },
        { "bottom elsewhere", "Node 'other' is not in a chain starting from 'top'" },
        { "backing-file without base", "backing file specified, but streaming the entire chain" },
        { "backing-file with bottom", "backing file specified, but streaming the entire chain" },
        { "filter name taken", "Could not create node: Duplicate nodes with node-name='base'" },
        { "no job id", "Invalid job ID ''" },
        { "bad job id", "Invalid job ID '0'" },
        { "negative speed", "Parameter 'speed' expects a non-negative value" },
    };

    private static StreamOptions Wrong(string name)
    {
        var right = new StreamOptions("top") { JobId = "j" };
        return name switch
        {
            "base base-node" => right with { Base = "x", BaseNode = "base" },
            "base bottom" => right with { Base = "x", Bottom = "mid" },
            "bottom base-node" => right with { Bottom = "mid", BaseNode = "base" },
            "unknown device" => right with { Device = "nothing" },
            "unknown base" => right with { Base = "nothing" },
            "unknown base-node" => right with { BaseNode = "nothing" },
            "base-node is top" => right with { BaseNode = "top" },
            "base-node elsewhere" => right with { BaseNode = "other" },
            "unknown bottom" => right with { Bottom = "nothing" },
            "bottom is filter" => right with { Bottom = "filter" },
            "bottom elsewhere" => right with { Bottom = "other" },
            "backing-file without base" => right with { BackingFile = "x" },
            "backing-file with bottom" => right with { Bottom = "mid", BackingFile = "x" },
            "filter name taken" => right with { FilterNodeName = "base" },
            "no job id" => right with { JobId = null },
            "bad job id" => right with { JobId = "0" },
            _ => right with { Speed = -1 },
        };
    }

    [Theory]
    [MemberData(nameof(Refusals))]
    public async Task A_wrong_argument_is_refused_in_the_references_words(string wrong, string message)
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        await fixture.AddAsync("other");
        await fixture.OpenAsync(new() { ["driver"] = "copy-on-read", ["node-name"] = "filter", ["file"] = "other" });
        int nodes = fixture.Graph.Nodes.Count;

        using (await fixture.Graph.ControlLock.EnterAsync(TestContext.Current.CancellationToken))
        {
            BlockException refused = await Assert.ThrowsAsync<BlockException>(
                async () => await fixture.Jobs.StartStreamAsync(Wrong(wrong), TestContext.Current.CancellationToken));
            Assert.Equal(message, refused.Message);
        }

        Assert.Equal(nodes, fixture.Graph.Nodes.Count);
        Assert.Equal(wrong == "negative speed" ? ["created", "null"] : [], fixture.Events);
        Assert.All(fixture.Graph.Nodes.SelectMany(n => n.Children), c => Assert.Equal(0, c.FreezeCount));
        Assert.All(fixture.Graph.Nodes, n => Assert.Empty(n.OperationBlockers));
    }

    [Theory]
    [InlineData("top")]
    [InlineData("mid")]
    public async Task A_second_stream_over_the_same_nodes_is_refused(string device)
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        await fixture.StreamAsync(new StreamOptions("top") { Speed = 1, BaseNode = "base" });
        BlockException refused = await Assert.ThrowsAsync<BlockException>(() => fixture.StreamAsync(new StreamOptions(device) { JobId = "k" }));
        Assert.Equal($"Node '{device}' is busy: block device is in use by block job: stream", refused.Message);
    }

    [Fact]
    public async Task Streams_in_disjoint_parts_of_a_chain_run_side_by_side()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        (await fixture.AddAsync("over", "top")).Fill(0, 65536, 1);
        await fixture.AddAsync("highest", "over");
        BlockBackend guest = await fixture.OpenGuestAsync("highest");
        byte[] before = await StreamTests.ReadAllAsync(guest);

        BlockJob lower = await fixture.StreamAsync(new StreamOptions("top") { JobId = "lower", Bottom = "mid", Speed = 1 });
        BlockJob upper = await fixture.StreamAsync(new StreamOptions("highest") { JobId = "upper", Bottom = "over", Speed = 1 });
        await fixture.CommandAsync(() => upper.SetSpeed(0));
        await upper.EndAsync();
        await fixture.CommandAsync(() => lower.SetSpeed(0));
        await lower.EndAsync();

        Assert.Null(upper.Error);
        Assert.Null(lower.Error);
        Assert.Same(fixture["top"], fixture["highest"].BackingChild!.Node);
        Assert.Same(fixture["base"], fixture["top"].BackingChild!.Node);
        Assert.Equal(before, await StreamTests.ReadAllAsync(guest));
    }

    [Fact]
    public async Task A_writer_on_an_intermediate_image_keeps_the_stream_from_starting()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        using (await fixture.Graph.ControlLock.EnterAsync(TestContext.Current.CancellationToken))
        {
            BlockBackend writer = await fixture.Graph.OpenBackendAsync(
                fixture["mid"], BlockPermissions.Write, BlockPermissions.All, "block device 'w'", TestContext.Current.CancellationToken);
            BlockException refused = await Assert.ThrowsAsync<BlockException>(
                async () => await fixture.Jobs.StartStreamAsync(
                    new StreamOptions("top") { JobId = "j", BaseNode = "base" }, TestContext.Current.CancellationToken));
            Assert.Equal(
                "Permission conflict on node 'mid': permissions 'write' are both required by block device 'w' (uses node 'mid' as 'root' child) "
                + "and unshared by stream job 'j' (uses node 'mid' as 'intermediate node' child).",
                refused.Message);
            await writer.CloseAsync();
        }

        Assert.Equal(["created", "null"], fixture.Events);
        Assert.Equal(3, fixture.Graph.Nodes.Count);
    }

    [Fact]
    public async Task A_link_inside_the_streamed_part_cannot_be_changed()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        await fixture.StreamAsync(new StreamOptions("top") { Speed = 1 });
        var change = new GraphTransaction(fixture.Graph);
        BlockException refused = Assert.Throws<BlockException>(() => change.Detach(fixture["top"].BackingChild!));
        Assert.Equal("Cannot change frozen 'backing' link from 'top' to 'mid'", refused.Message);
    }
}
