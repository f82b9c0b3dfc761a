using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Jobs;
using Varve.Tests.Support;

namespace Varve.Tests.Jobs;

/// <summary>Commits over real images, against what a plain array of bytes would hold.</summary>
public sealed class CommitTests : IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private async Task<(JobFixture Fixture, BlockBackend Guest)> OpenAsync()
    {
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", _folder["base.img"], "2M");
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.img", "-F", "qcow2", _folder["mid.img"], "4M");
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "mid.img", "-F", "qcow2", _folder["top.img"]);
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 2M", _folder["base.img"]);
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -P 2 1M 2M", "-c", "write -z 512k 256k", _folder["mid.img"]);
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -P 3 1536k 4k", "-c", "write -z 64k 64k", _folder["top.img"]);
        var fixture = new JobFixture();
        foreach ((string name, string? below) in new (string, string?)[] { ("base", null), ("mid", "base"), ("top", "mid") })
        {
            var options = new JsonObject
            {
                ["driver"] = "qcow2",
                ["node-name"] = name,
                ["read-only"] = name != "top",
                ["file"] = new JsonObject { ["driver"] = "file", ["filename"] = _folder[$"{name}.img"] },
            };
            if (below is not null) options["backing"] = below;
            await fixture.OpenAsync(options);
        }

        return (fixture, await fixture.OpenGuestAsync("top"));
    }

    private static async Task<BlockJob> StartAsync(JobFixture fixture, CommitOptions options)
    {
        using IDisposable held = await fixture.Graph.ControlLock.EnterAsync();
        return await fixture.Jobs.StartCommitAsync(fixture.Graph.FindNode("top")!, options with { JobId = "j" });
    }

    private async Task<byte[]> ReadAgainAsync(string image)
    {
        ReferenceTool.Run("qemu-img", "check", _folder[image]);
        ReferenceTool.Run("qemu-img", "convert", "-O", "raw", _folder[image], _folder["copy.img"]);
        return await File.ReadAllBytesAsync(_folder["copy.img"]);
    }

    private JsonObject Info(string image)
        => (JsonObject)JsonNode.Parse(ReferenceTool.Run("qemu-img", "info", "-U", "--output=json", _folder[image]))!;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    public async Task A_completed_active_commit_leaves_in_the_base_what_the_guest_wrote_meanwhile(int seed)
    {
        (JobFixture fixture, BlockBackend guest) = await OpenAsync();
        byte[] model = await StreamTests.ReadAllAsync(guest);
        await using (fixture)
        {
            BlockJob job = await StartAsync(fixture, new CommitOptions("top"));
            Task<int>[] writers = [.. Enumerable.Range(0, 4).Select(i => Task.Run(() => StreamUnderWritesTests.WriteAndVerifyAsync(guest, model, i, seed)))];
            await JobFixture.UntilAsync(() => job.IsReady);
            if (seed % 2 == 0) await Task.WhenAll(writers);
            await fixture.CommandAsync(job.Complete);
            await job.EndAsync();
            Assert.Null(job.Error);
            Assert.Equal("base", guest.Node.NodeName);
            await Task.WhenAll(writers);
            Assert.Equal(model, await StreamTests.ReadAllAsync(guest));
        }

        Assert.Equal(model, await ReadAgainAsync("base.img"));
    }

    /// <summary>A drained section lets no request in, and waits for the job: the job must not wait to be let in.</summary>
    [Fact]
    public async Task Drained_sections_and_a_commit_that_copies_do_not_wait_for_each_other()
    {
        (JobFixture fixture, BlockBackend guest) = await OpenAsync();
        byte[] model = await StreamTests.ReadAllAsync(guest);
        await using (fixture)
        {
            BlockJob job = await StartAsync(fixture, new CommitOptions("top"));
            using var stop = new CancellationTokenSource();
            Task writer = Task.Run(
                async () =>
                {
                    for (int i = 0; !stop.IsCancellationRequested; i++) await guest.WriteAsync(i % 8 * 65536, model.AsMemory(i % 8 * 65536, 65536));
                },
                TestContext.Current.CancellationToken);
            for (int i = 0; i < 2000; i++)
            {
                using DrainedSection drained = await BlockGraph.DrainAsync(fixture.Graph.FindNode("top")!).AsTask().WaitAsync(Patience.Limit, stop.Token);
            }

            await stop.CancelAsync();
            await writer;
            await JobFixture.UntilAsync(() => job.IsReady);
            await fixture.CommandAsync(job.Complete);
            await job.EndAsync();
            Assert.Null(job.Error);
        }

        Assert.Equal(model, await ReadAgainAsync("base.img"));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public async Task Chunks_that_could_not_be_written_are_copied_after_the_user_resumes(int failures)
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        byte[] before = await StreamTests.ReadAllAsync(await fixture.OpenGuestAsync("top"));
        int left = failures;
        fixture["base"].OnRequest = (kind, _, _) => kind == "write" && Interlocked.Decrement(ref left) >= 0 ? throw BlockException.FromErrno(Errno.EIO) : default;
        BlockJob job;
        using (await fixture.Graph.ControlLock.EnterAsync(TestContext.Current.CancellationToken))
        {
            job = await fixture.Jobs.StartCommitAsync(
                fixture["top"], new CommitOptions("top") { JobId = "j", TopNode = "mid", OnError = OnError.Stop }, TestContext.Current.CancellationToken);
        }

        while (!job.Completion.IsCompleted)
        {
            await JobFixture.UntilAsync(() => job.IsUserPaused || job.Completion.IsCompleted);
            if (job.IsUserPaused) await fixture.CommandAsync(job.Resume);
        }

        Assert.Null(job.Error);
        Assert.Contains("BLOCK_JOB_ERROR write stop", fixture.Events);
        Assert.Same(fixture["base"], fixture["top"].BackingChild!.Node);
        Assert.Equal(before, await StreamTests.ReadAllAsync(await fixture.OpenGuestAsync("top")));
    }

    [Fact]
    public async Task Cancelling_a_ready_commit_without_force_completes_it_on_the_old_chain()
    {
        (JobFixture fixture, BlockBackend guest) = await OpenAsync();
        byte[] model = await StreamTests.ReadAllAsync(guest);
        await using (fixture)
        {
            BlockJob job = await StartAsync(fixture, new CommitOptions("top"));
            await JobFixture.UntilAsync(() => job.IsReady);
            await fixture.CommandAsync(() => job.CancelAsync(force: false).AsTask());
            await job.EndAsync();
            Assert.Null(job.Error);
            Assert.Equal("top", guest.Node.NodeName);
            Assert.Contains(fixture.Events, e => e.StartsWith("BLOCK_JOB_COMPLETED", StringComparison.Ordinal));
            Assert.True(fixture.Graph.FindNode("base")!.IsReadOnly);
        }

        Assert.Equal(model, await ReadAgainAsync("top.img"));
        Assert.Equal(model, await ReadAgainAsync("base.img"));
    }

    [Fact]
    public async Task A_forced_cancel_leaves_the_chain_as_it_was()
    {
        (JobFixture fixture, BlockBackend guest) = await OpenAsync();
        byte[] model = await StreamTests.ReadAllAsync(guest);
        await using (fixture)
        {
            BlockJob job = await StartAsync(fixture, new CommitOptions("top") { Speed = 1 });
            await fixture.CommandAsync(() => job.CancelAsync(force: true).AsTask());
            await job.EndAsync();
            Assert.Contains(fixture.Events, e => e.StartsWith("BLOCK_JOB_CANCELLED", StringComparison.Ordinal));
            Assert.Equal("top", guest.Node.NodeName);
            Assert.Equal(model, await StreamTests.ReadAllAsync(guest));
            Assert.All(fixture.Graph.Nodes, n => Assert.Empty(n.OperationBlockers));
        }

        Assert.Equal(model, await ReadAgainAsync("top.img"));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("./base.img")]
    public async Task A_commit_of_intermediates_records_the_base_in_the_overlay(string? name)
    {
        (JobFixture fixture, BlockBackend guest) = await OpenAsync();
        byte[] model = await StreamTests.ReadAllAsync(guest);
        await using (fixture)
        {
            BlockJob job = await StartAsync(fixture, new CommitOptions("top") { TopNode = "mid", BackingFile = name });
            await StreamUnderWritesTests.WriteAndVerifyAsync(guest, model, 0, 7);
            await job.EndAsync();
            Assert.Null(job.Error);
            Assert.Equal("base", guest.Node.BackingChild!.Node.NodeName);
            Assert.True(fixture.Graph.FindNode("base")!.IsReadOnly);
            Assert.Equal(model, await StreamTests.ReadAllAsync(guest));
        }

        Assert.Equal(name ?? _folder["base.img"], (string?)Info("top.img")["backing-filename"]);
        Assert.Equal("qcow2", (string?)Info("top.img")["backing-filename-format"]);
        Assert.Equal(model, await ReadAgainAsync("top.img"));
    }

    [Fact]
    public async Task Wrong_arguments_are_refused_in_the_references_words()
    {
        (JobFixture fixture, _) = await OpenAsync();
        await using (fixture)
        {
            foreach ((CommitOptions options, string message) in new (CommitOptions, string)[]
            {
                (new("top") { TopNode = "a", Top = "b" }, "'top-node' and 'top' are mutually exclusive"),
                (new("top") { Top = "nofile" }, "Top image file nofile not found"),
                (new("top") { BaseNode = "a", Base = "b" }, "'base-node' and 'base' are mutually exclusive"),
                (new("top") { Base = "nofile" }, "Can't find 'nofile' in the backing chain"),
                (new("top") { TopNode = "base" }, "cannot commit an image into itself"),
                (new("top") { TopNode = "mid", BaseNode = "top" }, "'top' is not in this backing file chain"),
                (new("top") { BackingFile = "x" }, "'backing-file' specified, but 'top' is the active layer"),
                (new("top") { FilterNodeName = "mid" }, "Duplicate nodes with node-name='mid'"),
            })
            {
                BlockException refused = await Assert.ThrowsAsync<BlockException>(() => StartAsync(fixture, options));
                Assert.Equal(message, refused.Message);
            }

            Assert.Empty(fixture.Events);
            Assert.True(fixture.Graph.FindNode("base")!.IsReadOnly);
        }
    }
}
