using Varve.Graph;
using Varve.Jobs;
using Varve.Tests.Support;

namespace Varve.Tests.Jobs;

public sealed class StreamErrorTests
{
    private const long SecondChunk = 512 << 10;

    /// <summary>The base fails reads of the second chunk, <paramref name="times"/> times.</summary>
    private static async Task<JobFixture> WithFailingBaseAsync(int errno, int times = int.MaxValue)
    {
        JobFixture fixture = await JobFixture.WithChainAsync();
        fixture["base"].OnRequest = (kind, offset, length) =>
        {
            bool hit = kind == "read" && offset <= SecondChunk && offset + length > SecondChunk;
            if (hit && Interlocked.Decrement(ref times) >= 0) throw BlockException.FromErrno(errno);
            return default;
        };
        return fixture;
    }

    [Fact]
    public async Task Report_ends_the_job_at_the_failed_chunk()
    {
        await using JobFixture fixture = await WithFailingBaseAsync(Errno.EIO);
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top"));
        await job.EndAsync();
        Assert.Equal(
            ["created", "running", "BLOCK_JOB_ERROR read report", "aborting", "BLOCK_JOB_COMPLETED 524288/2097152 Input/output error",
                "concluded", "null"],
            fixture.Events);
        Assert.Equal(0, fixture["top"].Header.Writes);
        Assert.Same(fixture["mid"], fixture["top"].BackingChild!.Node);
    }

    [Fact]
    public async Task Ignore_goes_on_to_the_end_and_fails_then()
    {
        await using JobFixture fixture = await WithFailingBaseAsync(Errno.EIO);
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { OnError = OnError.Ignore });
        await job.EndAsync();
        Assert.Equal(
            ["created", "running", "BLOCK_JOB_ERROR read ignore", "aborting", "BLOCK_JOB_COMPLETED 2097152/2097152 Input/output error",
                "concluded", "null"],
            fixture.Events);
        Assert.Equal(0, fixture["top"].Header.Writes);
    }

    [Theory]
    [InlineData(OnError.Stop, Errno.EIO, IOStatus.Failed)]
    [InlineData(OnError.NoSpace, Errno.ENOSPC, IOStatus.NoSpace)]
    [InlineData(OnError.Auto, Errno.ENOSPC, IOStatus.NoSpace)]
    internal async Task A_stopped_job_tries_the_same_chunk_again_when_resumed(OnError policy, int errno, IOStatus status)
    {
        await using JobFixture fixture = await WithFailingBaseAsync(errno, times: 1);
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { OnError = policy });
        await JobFixture.UntilAsync(() => job.Status == JobStatus.Paused);
        BlockJobInfo info = job.GetBlockJobInfo();
        Assert.Equal((SecondChunk, JobFixture.Size, true, false, status), (info.Offset, info.Len, info.Paused, info.Busy, info.IOStatus));

        await fixture.CommandAsync(job.Resume);
        Assert.Equal(IOStatus.Ok, job.IOStatus);
        await job.EndAsync();
        Assert.Equal(
            ["created", "running", "BLOCK_JOB_ERROR read stop", "paused", "running", "waiting", "pending",
                "BLOCK_JOB_COMPLETED 2097152/2097152", "concluded", "null"],
            fixture.Events);
    }

    [Fact]
    public async Task Enospc_reports_any_other_error()
    {
        await using JobFixture fixture = await WithFailingBaseAsync(Errno.EIO);
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { OnError = OnError.NoSpace });
        await job.EndAsync();
        Assert.Equal("Input/output error", job.Error);
        Assert.Contains("BLOCK_JOB_ERROR read report", fixture.Events);
    }

    [Theory]
    [InlineData(Errno.EIO, "Input/output error")]
    [InlineData(Errno.ENOSPC, "No space left on device")]
    public async Task A_header_that_cannot_be_written_leaves_the_chain_as_it_was(int errno, string text)
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        BlockBackend guest = await fixture.OpenGuestAsync("top");
        byte[] before = await StreamTests.ReadAllAsync(guest);
        fixture["top"].OnHeaderWrite = _ => throw BlockException.FromErrno(errno);

        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { BaseNode = "base" });
        await job.EndAsync();

        Assert.Equal(
            ["created", "running", "waiting", "pending", "aborting", $"BLOCK_JOB_COMPLETED 2097152/2097152 {text}", "concluded", "null"],
            fixture.Events);
        Assert.Equal((null, null, 0), fixture["top"].Header);
        Assert.Same(fixture["mid"], fixture["top"].BackingChild!.Node);
        Assert.Same(fixture["top"], guest.Node);
        Assert.Equal(before, await StreamTests.ReadAllAsync(guest));
        Assert.All(fixture.Graph.Nodes, n => Assert.Empty(n.OperationBlockers));
        Assert.All(fixture.Graph.Nodes.SelectMany(n => n.Children), c => Assert.Equal(0, c.FreezeCount));

        fixture["top"].OnHeaderWrite = null;
        await (await fixture.StreamAsync(new StreamOptions("top") { BaseNode = "base" })).EndAsync();
        Assert.Same(fixture["base"], fixture["top"].BackingChild!.Node);
    }

    [Fact]
    public async Task A_name_that_is_too_long_fails_at_the_end_not_at_the_start()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { BaseNode = "base", BackingFile = new string('x', 1024) });
        await job.EndAsync();
        Assert.Equal("Invalid argument", job.Error);
        Assert.Same(fixture["mid"], fixture["top"].BackingChild!.Node);
    }

    [Fact]
    public async Task The_guest_is_served_while_the_header_is_being_written()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        BlockBackend guest = await fixture.OpenGuestAsync("top");
        var writing = new TaskCompletionSource();
        var go = new TaskCompletionSource();
        fixture["top"].OnHeaderWrite = async _ =>
        {
            writing.SetResult();
            await go.Task;
            throw BlockException.FromErrno(Errno.EIO);
        };

        BlockJob job = await fixture.StreamAsync(new StreamOptions("top"));
        await writing.Task;
        byte[] data = new byte[4096];
        await guest.WriteAsync(4096, data, cancellationToken: TestContext.Current.CancellationToken);
        await guest.ReadAsync(4096, data, TestContext.Current.CancellationToken);
        go.SetResult();
        await job.EndAsync();
        Assert.NotNull(job.Error);
    }
}
