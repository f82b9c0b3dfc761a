using System.Text.Json.Nodes;
using Varve.Filters.BlkDebug;
using Varve.Graph;
using Varve.Tests.Jobs;

namespace Varve.Tests.Filters;

public sealed class BlkDebugTests
{
    private static async Task<(JobFixture Fixture, BlkDebugNode Node, BlockBackend Guest)> OpenAsync(string options)
    {
        var fixture = new JobFixture();
        var description = (JsonObject)JsonNode.Parse(options)!;
        description["driver"] = "blkdebug";
        description["node-name"] = "debug";
        description["image"] = new JsonObject { ["driver"] = "memory", ["size"] = 1 << 20 };
        var node = (BlkDebugNode)await fixture.OpenAsync(description);
        return (fixture, node, await fixture.OpenGuestAsync("debug"));
    }

    private static async Task<int> ErrnoOfAsync(Func<ValueTask> request)
    {
        try
        {
            await request();
            return 0;
        }
        catch (BlockException e)
        {
            return e.Errno;
        }
    }

    [Fact]
    public async Task A_rule_for_no_event_holds_from_the_start()
    {
        (JobFixture fixture, _, BlockBackend guest) = await OpenAsync(
            """{"inject-error": [{"event": "none", "errno": 28, "iotype": "write", "sector": 8}]}""");
        await using (fixture)
        {
            Assert.Equal(0, await ErrnoOfAsync(() => guest.ReadAsync(0, new byte[8192])));
            Assert.Equal(0, await ErrnoOfAsync(() => guest.WriteAsync(0, new byte[4096])));
            Assert.Equal(Errno.ENOSPC, await ErrnoOfAsync(() => guest.WriteAsync(2048, new byte[4096])));
            Assert.Equal(Errno.ENOSPC, await ErrnoOfAsync(() => guest.WriteAsync(4096, new byte[512])));
        }
    }

    [Fact]
    public async Task An_error_with_once_is_used_up()
    {
        (JobFixture fixture, BlkDebugNode node, BlockBackend guest) = await OpenAsync(
            """{"inject-error": [{"event": "read_aio", "once": true, "immediately": true}]}""");
        await using (fixture)
        {
            Assert.Equal(0, await ErrnoOfAsync(() => guest.ReadAsync(0, new byte[512])));
            await node.DebugEventAsync(BlkdebugEvent.ReadAio);
            Assert.Equal(Errno.EIO, await ErrnoOfAsync(() => guest.ReadAsync(0, new byte[512])));
            await node.DebugEventAsync(BlkdebugEvent.ReadAio);
            Assert.Equal(0, await ErrnoOfAsync(() => guest.ReadAsync(0, new byte[512])));
        }
    }

    [Fact]
    public async Task States_pick_the_request_that_fails()
    {
        (JobFixture fixture, BlkDebugNode node, BlockBackend guest) = await OpenAsync(
            """
            {"set-state": [{"event": "write_aio", "state": 1, "new_state": 2}],
             "inject-error": [{"event": "write_aio", "state": 2, "errno": 5}]}
            """);
        await using (fixture)
        {
            await node.DebugEventAsync(BlkdebugEvent.WriteAio);
            Assert.Equal(0, await ErrnoOfAsync(() => guest.WriteAsync(0, new byte[512])));
            await node.DebugEventAsync(BlkdebugEvent.WriteAio);
            Assert.Equal(Errno.EIO, await ErrnoOfAsync(() => guest.WriteAsync(0, new byte[512])));
        }
    }

    [Fact]
    public async Task Flush_discard_and_zeroes_fail_by_their_own_kind()
    {
        (JobFixture fixture, _, BlockBackend guest) = await OpenAsync(
            """
            {"inject-error": [{"event": "none", "iotype": "flush", "errno": 5}, {"event": "none", "iotype": "discard", "errno": 28},
                              {"event": "none", "iotype": "write-zeroes", "errno": 22}]}
            """);
        await using (fixture)
        {
            Assert.Equal(Errno.EIO, await ErrnoOfAsync(() => guest.FlushAsync()));
            Assert.Equal(Errno.ENOSPC, await ErrnoOfAsync(() => guest.DiscardAsync(0, 65536)));
            Assert.Equal(Errno.EINVAL, await ErrnoOfAsync(() => guest.WriteZeroesAsync(0, 65536)));
            Assert.Equal(0, await ErrnoOfAsync(() => guest.WriteAsync(0, new byte[512])));
        }
    }

    [Fact]
    public async Task A_breakpoint_suspends_one_request_until_it_is_resumed()
    {
        (JobFixture fixture, BlkDebugNode node, BlockBackend guest) = await OpenAsync("{}");
        await using (fixture)
        {
            node.Rules.Add(new BreakpointRule(BlkdebugEvent.Pwritev, "a"));
            Task first = guest.WriteAsync(0, new byte[512]).AsTask();
            await node.Rules.WaitSuspendedAsync("a", TestContext.Current.CancellationToken);
            Assert.True(node.Rules.IsSuspended("a"));
            await guest.WriteAsync(512, new byte[512], cancellationToken: TestContext.Current.CancellationToken);
            Assert.False(first.IsCompleted);
            Assert.True(node.Rules.Resume("a"));
            await first;
            Assert.False(node.Rules.Resume("a"));
        }
    }

    [Fact]
    public async Task With_an_alignment_small_writes_become_read_modify_write()
    {
        (JobFixture fixture, BlkDebugNode node, BlockBackend guest) = await OpenAsync("""{"align": 4096, "max-transfer": 8192}""");
        await using (fixture)
        {
            node.Rules.Add(new BreakpointRule(BlkdebugEvent.PwritevRmwAfterHead, "rmw"));
            Task small = guest.WriteAsync(100, Enumerable.Repeat((byte)1, 10).ToArray()).AsTask();
            await node.Rules.WaitSuspendedAsync("rmw", TestContext.Current.CancellationToken);
            Task beside = guest.WriteAsync(0, new byte[4096]).AsTask();
            await Task.Delay(20, TestContext.Current.CancellationToken);
            Assert.False(beside.IsCompleted);
            node.Rules.RemoveBreakpoint("rmw");
            await small;
            await beside;
            byte[] read = new byte[32768];
            await guest.WriteAsync(0, Enumerable.Repeat((byte)7, read.Length).ToArray(), cancellationToken: TestContext.Current.CancellationToken);
            await guest.ReadAsync(0, read, TestContext.Current.CancellationToken);
            Assert.All(read, b => Assert.Equal(7, b));
        }
    }

    [Theory]
    [InlineData("""{"align": 3}""", "Cannot meet constraints with align 3")]
    [InlineData("""{"align": 4096, "max-transfer": 512}""", "Cannot meet constraints with max-transfer 512")]
    public async Task Limits_that_contradict_each_other_are_refused(string options, string message)
    {
        BlockException refused = await Assert.ThrowsAsync<BlockException>(() => OpenAsync(options));
        Assert.Equal(message, refused.Message);
    }

    [Fact]
    public async Task Rules_come_from_a_file_too()
    {
        string config = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(
                config, "# comment\n[inject-error]\nevent = \"none\"\niotype = \"read\"\nerrno = \"28\"\n", TestContext.Current.CancellationToken);
            (JobFixture fixture, _, BlockBackend guest) = await OpenAsync(new JsonObject { ["config"] = config }.ToJsonString());
            await using (fixture) Assert.Equal(Errno.ENOSPC, await ErrnoOfAsync(() => guest.ReadAsync(0, new byte[512])));
            BlockException missing = await Assert.ThrowsAsync<BlockException>(() => OpenAsync("""{"config": "/nowhere/at/all"}"""));
            Assert.Equal("Could not read blkdebug config file: No such file or directory", missing.Message);
        }
        finally
        {
            File.Delete(config);
        }
    }

    [Theory]
    [InlineData("blkdebug::a.img", """{"x-image":"a.img"}""")]
    [InlineData("blkdebug:c.conf:dir/a:b.img", """{"x-image":"dir/a:b.img","config":"c.conf"}""")]
    public void A_file_name_holds_configuration_and_image(string filename, string options)
        => Assert.Equal(options, new BlkDebugDriver().ParseFilename(filename).ToJsonString());

    [Fact]
    public async Task Permissions_can_be_taken_and_refused()
    {
        (JobFixture fixture, BlkDebugNode node, _) = await OpenAsync(
            """{"take-child-perms": ["resize"], "unshare-child-perms": ["write", "resize"]}""");
        await using (fixture)
        {
            Assert.True((node.Child.Permissions & BlockPermissions.Resize) != 0);
            Assert.Equal(BlockPermissions.ConsistentRead | BlockPermissions.WriteUnchanged, node.Child.Shared);
        }
    }

    [Fact]
    public async Task A_configuration_without_end_is_refused()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "/dev/zero is Linux's");
        await using var graph = new BlockGraph();
        var options = new System.Text.Json.Nodes.JsonObject
        {
            ["driver"] = "blkdebug", ["config"] = "/dev/zero", ["image"] = new System.Text.Json.Nodes.JsonObject { ["driver"] = "null-co" },
        };
        var refused = await Assert.ThrowsAsync<BlockException>(async () => await graph.OpenNodeAsync(options, new OpenContext()));
        Assert.Equal("blkdebug config file '/dev/zero' is longer than 1048576 bytes", refused.Message);
    }
}
