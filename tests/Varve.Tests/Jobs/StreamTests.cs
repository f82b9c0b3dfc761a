using Varve.Graph;
using Varve.Jobs;
using Varve.Tests.Support;

namespace Varve.Tests.Jobs;

public sealed class StreamTests
{
    private static readonly string[] s_success =
        ["created", "running", "waiting", "pending", "BLOCK_JOB_COMPLETED 2097152/2097152", "concluded", "null"];

    [Fact]
    public async Task A_full_stream_copies_everything_and_drops_the_chain()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        BlockBackend guest = await fixture.OpenGuestAsync("top");
        byte[] before = await ReadAllAsync(guest);

        BlockJob job = await fixture.StreamAsync(new StreamOptions("top"));
        Assert.Equal(["created", "running"], fixture.Events.Take(2));
        await job.EndAsync();

        Assert.Equal(s_success, fixture.Events);
        Assert.Equal((null, null, 1), fixture["top"].Header);
        Assert.Null(fixture["top"].BackingChild);
        Assert.Equal(JobFixture.Size / 65536, fixture["top"].Allocated.Count);
        Assert.Equal(before, await ReadAllAsync(guest));
        Assert.Same(fixture["top"], guest.Node);
        Assert.Empty(fixture.Jobs.Jobs);
        Assert.DoesNotContain(fixture.Graph.Nodes, n => n.Driver.Name == "copy-on-read");
        Assert.All(fixture.Graph.Nodes, n => Assert.Empty(n.OperationBlockers));
        Assert.All(fixture.Graph.Nodes.SelectMany(n => n.Children), c => Assert.Equal(0, c.FreezeCount));
        Assert.Null(fixture["top"].Tracker);
    }

    [Fact]
    public async Task A_partial_stream_copies_what_lies_above_the_base_and_records_its_name()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        BlockBackend guest = await fixture.OpenGuestAsync("top");
        byte[] before = await ReadAllAsync(guest);

        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { BaseNode = "base" });
        await job.EndAsync();

        Assert.Equal(s_success, fixture.Events);
        Assert.Equal((fixture["base"].Filename, "overlay", 1), fixture["top"].Header);
        Assert.Same(fixture["base"], fixture["top"].BackingChild!.Node);
        Assert.Equal(fixture["mid"].Allocated, fixture["top"].Allocated);
        Assert.Equal(before, await ReadAllAsync(guest));
    }

    [Fact]
    public async Task The_callers_backing_file_is_recorded_verbatim()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { BaseNode = "base", BackingFile = "any : garbage\n" });
        await job.EndAsync();
        Assert.Null(job.Error);
        Assert.Equal(("any : garbage\n", "overlay", 1), fixture["top"].Header);
    }

    [Fact]
    public async Task Streaming_onto_the_direct_backing_image_copies_nothing_but_rewrites_the_header()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { BaseNode = "mid", BackingFile = "renamed" });
        await job.EndAsync();
        Assert.Equal(["created", "running", "waiting", "pending", "BLOCK_JOB_COMPLETED 0/0", "concluded", "null"], fixture.Events);
        Assert.Equal(("renamed", "overlay", 1), fixture["top"].Header);
        Assert.Empty(fixture["top"].Allocated);
        Assert.Same(fixture["mid"], fixture["top"].BackingChild!.Node);
    }

    [Fact]
    public async Task Streaming_an_image_without_backing_succeeds_and_leaves_the_header_alone()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        BlockJob job = await fixture.StreamAsync(new StreamOptions("base"));
        await job.EndAsync();
        Assert.Null(job.Error);
        Assert.Equal(0, job.TotalProgress);
        Assert.Equal(0, fixture["base"].Header.Writes);
    }

    [Fact]
    public async Task Bottom_names_the_lowest_image_that_is_copied()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        await (await fixture.StreamAsync(new StreamOptions("top") { Bottom = "mid" })).EndAsync();
        Assert.Equal((fixture["base"].Filename, "overlay", 1), fixture["top"].Header);
        Assert.Equal(fixture["mid"].Allocated, fixture["top"].Allocated);

        await (await fixture.StreamAsync(new StreamOptions("top") { Bottom = "top" })).EndAsync();
        Assert.Equal((fixture["base"].Filename, "overlay", 2), fixture["top"].Header);
    }

    [Fact]
    public async Task An_intermediate_image_that_is_read_only_is_written_and_read_only_again_afterwards()
    {
        await using var fixture = new JobFixture();
        (await fixture.AddAsync("base")).Fill(0, JobFixture.Size, 10);
        await fixture.OpenAsync(new() { ["driver"] = "overlay", ["node-name"] = "mid", ["size"] = JobFixture.Size, ["backing"] = "base" }, readOnly: true);
        await fixture.AddAsync("top", "mid");
        BlockBackend guest = await fixture.OpenGuestAsync("top");
        byte[] before = await ReadAllAsync(guest);

        fixture["base"].OnRequest = async (_, _, _) => await Task.Delay(20, TestContext.Current.CancellationToken);
        BlockJob job = await fixture.StreamAsync(new StreamOptions("mid"));
        Assert.False(fixture["mid"].IsReadOnly);
        Assert.Equal("copy-on-read", fixture["top"].BackingChild!.Node.Driver.Name);
        await job.EndAsync();

        Assert.Null(job.Error);
        Assert.True(fixture["mid"].IsReadOnly);
        Assert.Same(fixture["mid"], fixture["top"].BackingChild!.Node);
        Assert.Equal(0, fixture["top"].Header.Writes);
        Assert.Equal(before, await ReadAllAsync(guest));
    }

    [Fact]
    public async Task Zeros_an_intermediate_image_shows_past_its_end_hide_a_longer_base_afterwards_too()
    {
        await using var fixture = new JobFixture();
        (await fixture.AddAsync("base")).Fill(0, JobFixture.Size, 10);
        (await fixture.AddAsync("mid", "base", JobFixture.Size / 2)).Fill(0, 65536, 1);
        await fixture.AddAsync("top", "mid");
        BlockBackend guest = await fixture.OpenGuestAsync("top");
        byte[] before = await ReadAllAsync(guest);
        Assert.Equal(0, before[JobFixture.Size / 2]);

        await (await fixture.StreamAsync(new StreamOptions("top") { BaseNode = "base" })).EndAsync();
        Assert.Equal(before, await ReadAllAsync(guest));
        await (await fixture.StreamAsync(new StreamOptions("top"))).EndAsync();
        Assert.Equal(before, await ReadAllAsync(guest));
    }

    [Fact]
    public async Task A_backing_image_that_is_shorter_ends_the_work_early()
    {
        await using var fixture = new JobFixture();
        (await fixture.AddAsync("base", size: JobFixture.Size / 2)).Fill(0, JobFixture.Size / 2, 10);
        await fixture.AddAsync("top", "base");
        await (await fixture.StreamAsync(new StreamOptions("top"))).EndAsync();
        Assert.Equal(s_success, fixture.Events);
        Assert.Equal(fixture["base"].Allocated, fixture["top"].Allocated);
    }

    [Fact]
    public async Task The_filter_is_implicit_unless_it_is_named()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { Speed = 1 });
        Assert.True(Assert.Single(fixture.Graph.Nodes, n => n.Driver.Name == "copy-on-read").IsImplicit);
        await fixture.CommandAsync(() => job.CancelAsync(force: false).AsTask());
        await job.EndAsync();

        await fixture.StreamAsync(new StreamOptions("top") { Speed = 1, FilterNodeName = "cor", JobId = "named" });
        Assert.False(fixture.Graph.FindNode("cor")!.IsImplicit);
    }

    internal static async Task<byte[]> ReadAllAsync(BlockBackend guest)
    {
        byte[] all = new byte[guest.Length];
        await guest.ReadAsync(0, all);
        return all;
    }
}
