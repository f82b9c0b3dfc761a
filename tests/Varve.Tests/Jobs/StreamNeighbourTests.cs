using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Jobs;
using Varve.Tests.Support;

namespace Varve.Tests.Jobs;

/// <summary>A stream and what else happens to its nodes meanwhile.</summary>
public sealed class StreamNeighbourTests
{
    private const string Busy = "Node 'top' is busy: block device is in use by block job: stream";

    [Fact]
    public async Task A_snapshot_of_the_top_is_refused_and_the_stream_goes_on()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        await fixture.AddAsync("overlay");
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { Speed = 1 });
        BlockException refused = await Assert.ThrowsAsync<BlockException>(
            () => fixture.CommandAsync(() => fixture.Graph.SnapshotAsync(fixture["top"], fixture["overlay"]).AsTask()));
        Assert.Equal(Busy, refused.Message);
        await fixture.CommandAsync(() => job.SetSpeed(0));
        await job.EndAsync();
        Assert.Null(job.Error);
    }

    [Fact]
    public async Task Deleting_the_top_or_changing_its_header_is_refused()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        await fixture.StreamAsync(new StreamOptions("top") { Speed = 1 });
        Assert.Equal(Busy, (await Assert.ThrowsAsync<BlockException>(
            () => fixture.CommandAsync(() => fixture.Graph.DeleteNodeAsync("top").AsTask()))).Message);
        Assert.Equal("Need a root block node", (await Assert.ThrowsAsync<BlockException>(
            () => fixture.CommandAsync(() => fixture.Graph.ChangeBackingFileAsync("top", "top", "x").AsTask()))).Message);
    }

    [Fact]
    public async Task The_base_may_be_exchanged_while_the_stream_runs()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        (await fixture.AddAsync("other")).Fill(0, JobFixture.Size, 10);
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { BaseNode = "base", Speed = 1 });
        await fixture.CommandAsync(async () =>
        {
            var change = new GraphTransaction(fixture.Graph);
            change.Retarget(fixture["mid"].BackingChild!, fixture["other"]);
            await change.PrepareAsync(TestContext.Current.CancellationToken);
            await change.CommitAsync();
        });
        await fixture.CommandAsync(() => job.SetSpeed(0));
        await job.EndAsync();
        Assert.Null(job.Error);
        Assert.Same(fixture["other"], fixture["top"].BackingChild!.Node);
    }

    [Fact]
    public async Task Nobody_resizes_the_top_meanwhile()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        await fixture.StreamAsync(new StreamOptions("top") { Speed = 1 });
        BlockException refused = await Assert.ThrowsAsync<BlockException>(() => fixture.CommandAsync(async () => await fixture.Graph.OpenBackendAsync(
            fixture["top"], BlockPermissions.Resize, BlockPermissions.All, cancellationToken: TestContext.Current.CancellationToken)));
        Assert.Contains("permissions 'resize' are both required by an unnamed block device", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Images_that_only_the_chain_holds_are_closed_and_others_stay()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        OverlayNode mid = fixture["mid"];
        using (await fixture.Graph.ControlLock.EnterAsync(TestContext.Current.CancellationToken)) await fixture.Graph.ReleaseAsync(mid);
        await (await fixture.StreamAsync(new StreamOptions("top") { BaseNode = "base" })).EndAsync();
        Assert.Null(fixture.Graph.FindNode("mid"));
        Assert.NotNull(fixture.Graph.FindNode("base"));
    }

    [Fact]
    public async Task A_filter_named_as_device_stays_and_the_image_below_it_is_rewritten()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        fixture.Graph.ThrottleGroups.Add("g", new Varve.Filters.Throttle.ThrottleLimits());
        await fixture.OpenAsync(new() { ["driver"] = "throttle", ["node-name"] = "throttle", ["throttle-group"] = "g", ["file"] = "top" });
        BlockBackend guest = await fixture.OpenGuestAsync("throttle");
        byte[] before = await StreamTests.ReadAllAsync(guest);
        BlockJob job = await fixture.StreamAsync(new StreamOptions("throttle") { BaseNode = "base", BackingFile = "name" });
        await job.EndAsync();
        Assert.Null(job.Error);
        Assert.Equal(("name", "overlay", 1), fixture["top"].Header);
        Assert.Same(fixture["top"], fixture.Graph.FindNode("throttle")!.FilteredChild!.Node);
        Assert.Same(fixture["base"], fixture["top"].BackingChild!.Node);
        Assert.Equal(before, await StreamTests.ReadAllAsync(guest));
    }

    [Theory]
    [InlineData("filter", "filter")]
    [InlineData("base", "base")]
    public async Task A_filter_above_the_base_stays_when_it_is_the_base(string baseNode, string below)
    {
        await using var fixture = new JobFixture();
        (await fixture.AddAsync("base")).Fill(0, JobFixture.Size, 10);
        fixture.Graph.ThrottleGroups.Add("g", new Varve.Filters.Throttle.ThrottleLimits());
        await fixture.OpenAsync(new() { ["driver"] = "throttle", ["node-name"] = "filter", ["throttle-group"] = "g", ["file"] = "base" });
        (await fixture.AddAsync("mid", "filter")).Fill(0, 65536, 50);
        await fixture.AddAsync("top", "mid");
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { BaseNode = baseNode });
        await job.EndAsync();
        Assert.Null(job.Error);
        Assert.Equal(below, fixture["top"].BackingChild!.Node.NodeName);
        Assert.Equal((fixture["base"].Filename, "overlay", 1), fixture["top"].Header);
        Assert.Equal([0], fixture["top"].Allocated);
    }

    [Fact]
    public async Task An_injected_read_error_stops_the_stream_at_its_chunk_and_resuming_succeeds()
    {
        await using var fixture = new JobFixture();
        await fixture.OpenAsync((JsonObject)JsonNode.Parse(
            """
            {"driver": "raw", "node-name": "base", "file": {"driver": "blkdebug", "image": {"driver": "memory", "size": 2097152},
             "inject-error": [{"event": "read_aio", "state": 1, "errno": 28, "sector": 1024, "once": true, "immediately": false}]}}
            """)!);
        await fixture.AddAsync("top", "base");
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { OnError = OnError.NoSpace });
        await JobFixture.UntilAsync(() => job.Status == JobStatus.Paused);
        Assert.Equal((524288, IOStatus.NoSpace), (job.CurrentProgress, job.IOStatus));
        await fixture.CommandAsync(job.Resume);
        await job.EndAsync();
        Assert.Null(job.Error);
        Assert.Equal(2097152, job.CurrentProgress);
    }
}
