using Varve.Graph;
using Varve.Tests.Jobs;
using Varve.Tests.Support;

namespace Varve.Tests.Filters;

public sealed class CopyOnReadTests
{
    private const int Cluster = 64 << 10;

    private static async Task<(JobFixture Fixture, BlockBackend Guest)> OpenAsync(string? bottom = null)
    {
        JobFixture fixture = await JobFixture.WithChainAsync();
        var options = new System.Text.Json.Nodes.JsonObject { ["driver"] = "copy-on-read", ["node-name"] = "cor", ["file"] = "top" };
        if (bottom is not null) options["bottom"] = bottom;
        await fixture.OpenAsync(options);
        return (fixture, await fixture.OpenGuestAsync("cor"));
    }

    [Fact]
    public async Task A_read_leaves_whole_clusters_in_the_top_image()
    {
        (JobFixture fixture, BlockBackend guest) = await OpenAsync();
        await using (fixture)
        {
            byte[] buffer = new byte[512];
            await guest.ReadAsync(Cluster + 100, buffer, TestContext.Current.CancellationToken);
            Assert.All(buffer, b => Assert.Equal(11, b));
            Assert.Equal([Cluster], fixture["top"].Allocated);
        }
    }

    [Fact]
    public async Task Below_the_bottom_nothing_is_copied()
    {
        (JobFixture fixture, BlockBackend guest) = await OpenAsync("mid");
        await using (fixture)
        {
            byte[] buffer = new byte[JobFixture.Size];
            await guest.ReadAsync(0, buffer, TestContext.Current.CancellationToken);
            Assert.Equal(fixture["mid"].Allocated, fixture["top"].Allocated);
        }
    }

    [Fact]
    public async Task A_guest_write_that_comes_during_the_copy_wins()
    {
        (JobFixture fixture, BlockBackend guest) = await OpenAsync();
        await using (fixture)
        {
            var reading = new TaskCompletionSource();
            var go = new TaskCompletionSource();
            fixture["base"].OnRequest = async (_, _, _) =>
            {
                reading.TrySetResult();
                await go.Task;
            };
            Task read = guest.ReadAsync(0, new byte[512], TestContext.Current.CancellationToken).AsTask();
            await reading.Task;
            byte[] fresh = Enumerable.Repeat((byte)0xEE, 512).ToArray();
            Task write = guest.WriteAsync(1024, fresh, cancellationToken: TestContext.Current.CancellationToken).AsTask();
            await Task.Delay(20, TestContext.Current.CancellationToken);
            Assert.False(write.IsCompleted);
            go.SetResult();
            await read;
            await write;
            byte[] buffer = new byte[2048];
            await guest.ReadAsync(0, buffer, TestContext.Current.CancellationToken);
            Assert.All(buffer[..1024], b => Assert.Equal(10, b));
            Assert.Equal(fresh, buffer[1024..1536]);
        }
    }

    [Fact]
    public async Task A_read_succeeds_where_its_copy_cannot_be_stored()
    {
        (JobFixture fixture, BlockBackend guest) = await OpenAsync();
        await using (fixture)
        {
            fixture["top"].OnRequest = (kind, _, _) => kind == "read" ? default : throw BlockException.FromErrno(Errno.ENOSPC);
            byte[] buffer = new byte[512];
            await guest.ReadAsync(0, buffer, TestContext.Current.CancellationToken);
            Assert.All(buffer, b => Assert.Equal(10, b));
            Assert.Empty(fixture["top"].Allocated);
        }
    }

    [Fact]
    public async Task Zeros_are_stored_as_zeros()
    {
        (JobFixture fixture, BlockBackend guest) = await OpenAsync();
        await using (fixture)
        {
            fixture["base"].Fill(0, Cluster, 0);
            var kinds = new List<string>();
            fixture["top"].OnRequest = (kind, _, _) =>
            {
                lock (kinds) kinds.Add(kind);
                return default;
            };
            await guest.ReadAsync(0, new byte[512], TestContext.Current.CancellationToken);
            Assert.Equal(["read", "zero", "read"], kinds);
        }
    }

    [Theory]
    [InlineData("nothing", "Bottom node 'nothing' not found")]
    [InlineData("cor", "Bottom node 'cor' is a filter")]
    public async Task A_wrong_bottom_is_refused(string bottom, string message)
    {
        (JobFixture fixture, _) = await OpenAsync();
        await using (fixture)
        {
            BlockException refused = await Assert.ThrowsAsync<BlockException>(
                () => fixture.OpenAsync(new() { ["driver"] = "copy-on-read", ["file"] = "top", ["bottom"] = bottom }));
            Assert.Equal(message, refused.Message);
            Assert.Equal(4, fixture.Graph.Nodes.Count);
        }
    }
}
