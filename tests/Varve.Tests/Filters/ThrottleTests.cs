using System.Diagnostics;
using Varve.Filters.Throttle;
using Varve.Graph;
using Varve.Tests.Jobs;

namespace Varve.Tests.Filters;

public sealed class ThrottleTests
{
    private bool _stop;

    private static async Task<(JobFixture Fixture, BlockBackend A, BlockBackend B)> OpenAsync(ThrottleLimits limits)
    {
        var fixture = new JobFixture();
        fixture.Graph.ThrottleGroups.Add("g", limits);
        foreach (string name in new[] { "a", "b" })
        {
            await fixture.OpenAsync(new()
            {
                ["driver"] = "throttle", ["node-name"] = name, ["throttle-group"] = "g",
                ["file"] = new System.Text.Json.Nodes.JsonObject { ["driver"] = "memory", ["size"] = 1 << 20 },
            });
        }

        return (fixture, await fixture.OpenGuestAsync("a"), await fixture.OpenGuestAsync("b"));
    }

    [Fact]
    public async Task Two_nodes_share_the_bytes_of_their_group_fairly()
    {
        (JobFixture fixture, BlockBackend a, BlockBackend b) = await OpenAsync(new ThrottleLimits { BytesTotal = new(1 << 20) });
        await using (fixture)
        {
            var watch = Stopwatch.StartNew();
            int doneA = 0, doneB = 0;
            Task[] workers =
            [
                .. Enumerable.Range(0, 8).Select(_ => WorkAsync(a, () => Interlocked.Increment(ref doneA))),
                WorkAsync(b, () => Interlocked.Increment(ref doneB)),
            ];
            await Task.Delay(900, TestContext.Current.CancellationToken);
            int seenA = Volatile.Read(ref doneA), seenB = Volatile.Read(ref doneB);
            double megabytes = (seenA + seenB) * 16384.0 / (1 << 20);
            Assert.InRange(megabytes, 0.1, (watch.Elapsed.TotalSeconds + 0.3) * 1.1);
            Assert.InRange(seenB, seenA / 3, (seenA * 3) + 1);   // one request at a time gets as much as eight do
            Volatile.Write(ref _stop, true);
            using (await BlockGraph.DrainAsync([a.Node, b.Node])) { }
            await Task.WhenAll(workers);
        }
    }

    private async Task WorkAsync(BlockBackend guest, Action done)
    {
        byte[] buffer = new byte[16384];
        while (!Volatile.Read(ref _stop))
        {
            await guest.ReadAsync(0, buffer);
            done();
        }
    }

    [Fact]
    public async Task A_drained_section_lets_held_requests_go()
    {
        (JobFixture fixture, BlockBackend a, _) = await OpenAsync(new ThrottleLimits { Writes = new(1) });
        await using (fixture)
        {
            byte[] data = new byte[512];
            Task[] writes = [.. Enumerable.Range(0, 5).Select(_ => a.WriteAsync(0, data).AsTask())];
            Assert.Contains(writes, w => !w.IsCompleted);
            using (await BlockGraph.DrainAsync([a.Node])) await Task.WhenAll(writes);
        }
    }

    [Fact]
    public async Task A_group_in_use_cannot_be_removed()
    {
        (JobFixture fixture, _, _) = await OpenAsync(new ThrottleLimits());
        await using (fixture)
        {
            Assert.Equal("object 'g' is in use, can not be deleted",
                Assert.Throws<BlockException>(() => fixture.Graph.ThrottleGroups.Remove("g")).Message);
            BlockException missing = await Assert.ThrowsAsync<BlockException>(
                () => fixture.OpenAsync(new() { ["driver"] = "throttle", ["throttle-group"] = "h", ["file"] = "a" }));
            Assert.Equal("Throttle group 'h' does not exist", missing.Message);
        }
    }

    [Fact]
    public void Bursts_pass_at_once_and_are_paid_back()
    {
        var bucket = new LeakyBucket(new ThrottleRate(100, 1000, 2));
        bucket.Fill(150);
        Assert.InRange(bucket.Wait, 0.04, 0.06);        // the rate within a burst
        bucket.Leak(0.1);
        bucket.Fill(3000);
        Assert.True(bucket.Wait > 5);                   // the burst is used up: the average rate
        bucket.Leak(100);
        Assert.True(bucket.Wait <= 0);
    }

    [Theory]
    [InlineData(1, 1, 0, 1, 0, "bps/iops/max total values and read/write values cannot be used at the same time")]
    [InlineData(100, 0, 50, 1, 0, "bps_max/iops_max cannot be lower than bps/iops")]
    [InlineData(0, 0, 50, 1, 0, "bps_max/iops_max require corresponding bps/iops values")]
    [InlineData(100, 0, 0, 2, 0, "burst length set without burst rate")]
    [InlineData(100, 0, 200, 0, 0, "the burst length cannot be 0")]
    [InlineData(100, 0, 0, 1, 4096, "iops size requires an iops value to be set")]
    public void Limits_that_contradict_each_other_are_refused(long total, long read, long burst, long seconds, long size, string message)
    {
        var limits = new ThrottleLimits { BytesTotal = new(total, burst, seconds), BytesRead = new(read), RequestSize = size };
        Assert.Equal(message, Assert.Throws<BlockException>(limits.Check).Message);
    }
}
