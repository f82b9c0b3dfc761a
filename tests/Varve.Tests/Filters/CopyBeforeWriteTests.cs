using System.Text.Json.Nodes;
using Varve.Bitmaps;
using Varve.Filters.Throttle;
using Varve.Graph;
using Varve.Tests.Jobs;
using Varve.Tests.Support;

namespace Varve.Tests.Filters;

public sealed class CopyBeforeWriteTests
{
    private const int Cluster = 64 << 10;

    private static byte[] Bytes(int length, byte value) => Enumerable.Repeat(value, length).ToArray();

    /// <summary>A source full of 7s and a target full of 9s in memory, the filter <c>cbw</c> and the access <c>snap</c>.</summary>
    private static async Task<JobFixture> OpenAsync(string more = "", string? target = null, long size = 1 << 20)
    {
        var fixture = new JobFixture();
        var source = (MemoryNode)await fixture.OpenAsync(Json($$"""{"driver": "memory", "node-name": "source", "size": {{size}} }"""));
        source.Bytes.Write(0, Bytes((int)size, 7));
        var kept = (MemoryNode)await fixture.OpenAsync(Json($$"""{"driver": "memory", "node-name": "kept", "size": {{size}} }"""));
        kept.Bytes.Write(0, Bytes((int)size, 9));
        await AddFilterAsync(fixture, more, target);
        return fixture;
    }

    private static async Task AddFilterAsync(JobFixture fixture, string more = "", string? target = null)
    {
        await fixture.OpenAsync(Json($$"""{"driver": "copy-before-write", "node-name": "cbw", "file": "source", "target": {{target ?? "\"kept\""}} {{more}} }"""));
        await fixture.OpenAsync(Json("""{"driver": "snapshot-access", "node-name": "snap", "file": "cbw"}"""));
    }

    private static JsonObject Json(string text) => (JsonObject)JsonNode.Parse(text)!;

    private static MemoryNode Memory(JobFixture fixture, string name) => (MemoryNode)fixture.Graph.FindNode(name)!;

    private static async Task<int> ErrnoAsync(Func<ValueTask> request) => (await Assert.ThrowsAsync<BlockException>(async () => await request())).Errno;

    private static async Task<byte[]> ReadAsync(BlockBackend backend, long offset = 0, int length = -1)
    {
        byte[] data = new byte[length < 0 ? (int)backend.Length : length];
        await backend.ReadAsync(offset, data);
        return data;
    }

    [Fact]
    public async Task Old_data_is_kept_once_in_whole_clusters()
    {
        await using JobFixture fixture = await OpenAsync();
        BlockBackend guest = await fixture.OpenGuestAsync("cbw"), snapshot = await fixture.OpenGuestAsync("snap");
        List<(long, long)> writes = [];
        Memory(fixture, "kept").OnRequest = (kind, offset, length) =>
        {
            if (kind == "write") writes.Add((offset, length));
            return default;
        };
        await guest.WriteAsync(Cluster + 5, Bytes(10, 1));
        await guest.WriteAsync(Cluster + 100, Bytes(10, 2));
        await guest.WriteZeroesAsync(4 * Cluster - 1, 2);
        await guest.DiscardAsync(8 * Cluster, 512);
        Assert.Equal([(Cluster, Cluster), (3 * Cluster, 2 * Cluster), (8 * Cluster, Cluster)], writes);
        Assert.All(await ReadAsync(snapshot), b => Assert.Equal(7, b));
        Assert.Equal(1, (await ReadAsync(guest, Cluster + 5, 1))[0]);
    }

    [Fact]
    public async Task The_cluster_is_the_targets_where_that_is_larger()
    {
        await using JobFixture fixture = new();
        using var folder = new TempDirectory();
        await fixture.OpenAsync(Json("""{"driver": "memory", "node-name": "source", "size": 4194304}"""));
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", folder["t"], "4M");
        await AddFilterAsync(fixture, target: $$"""{"driver": "qcow2", "node-name": "kept", "file": {"driver": "file", "filename": "{{folder["t"]}}"} }""");
        BlockBackend guest = await fixture.OpenGuestAsync("cbw");
        await guest.WriteAsync(0, Bytes(1, 1));
        BlockStatus status = await fixture.Graph.FindNode("kept")!.GetStatusAsync(0, 4 << 20, precise: false, default);
        Assert.Equal((true, 2L << 20), (status.IsAllocated, status.Length));
    }

    [Fact]
    public async Task Only_what_the_bitmap_marks_is_kept_and_read()
    {
        await using JobFixture fixture = new();
        var source = (MemoryNode)await fixture.OpenAsync(Json("""{"driver": "memory", "node-name": "source", "size": 1048576}"""));
        await fixture.OpenAsync(Json("""{"driver": "memory", "node-name": "kept", "size": 1048576}"""));
        DirtyBitmap bitmap = await BitmapOperations.AddAsync(source, "b", 4096, persistent: false, disabled: true);
        bitmap.Mark(2 * Cluster + 4096, 1);
        await AddFilterAsync(fixture, """, "bitmap": {"node": "source", "name": "b"}""");
        await BitmapOperations.RemoveAsync(source, "b");   // copied: its own life goes on
        BlockBackend guest = await fixture.OpenGuestAsync("cbw"), snapshot = await fixture.OpenGuestAsync("snap");
        int copies = 0;
        Memory(fixture, "kept").OnRequest = (kind, _, _) =>
        {
            if (kind == "write") copies++;
            return default;
        };
        await guest.WriteAsync(0, Bytes(1 << 20, 1));
        Assert.Equal(1, copies);
        Assert.All(await ReadAsync(snapshot, 2 * Cluster, Cluster), b => Assert.Equal(0, b));
        Assert.Equal(Errno.EINVAL, await ErrnoAsync(() => snapshot.ReadAsync(0, new byte[1])));
        Assert.Equal(Errno.EINVAL, await ErrnoAsync(() => snapshot.ReadAsync(2 * Cluster, new byte[Cluster + 1])));
        Assert.Equal(Errno.EINVAL, await ErrnoAsync(async () => await snapshot.Node.GetStatusAsync(0, Cluster, precise: true, default)));
    }

    [Fact]
    public async Task A_failed_copy_fails_the_guests_write_and_leaves_the_snapshot()
    {
        await using JobFixture fixture = await OpenAsync(
            target: """{"driver": "blkdebug", "image": "kept", "inject-error": [{"event": "none", "iotype": "write", "errno": 28, "once": true}]}""");
        BlockBackend guest = await fixture.OpenGuestAsync("cbw"), snapshot = await fixture.OpenGuestAsync("snap");
        Assert.Equal(Errno.ENOSPC, await ErrnoAsync(() => guest.WriteAsync(0, Bytes(512, 1))));
        Assert.All(await ReadAsync(snapshot), b => Assert.Equal(7, b));
        Assert.All(await ReadAsync(guest), b => Assert.Equal(7, b));
        await guest.WriteAsync(0, Bytes(512, 1));
        Assert.All(await ReadAsync(snapshot), b => Assert.Equal(7, b));
    }

    [Theory]
    [InlineData("read")]
    [InlineData("write")]
    public async Task A_failed_copy_may_break_the_snapshot_instead(string failing)
    {
        string blkdebug = $$"""{"driver": "blkdebug", "image": "kept", "inject-error": [{"event": "none", "iotype": "write", "once": true}]}""";
        await using JobFixture fixture = await OpenAsync(""", "on-cbw-error": "break-snapshot" """, failing == "write" ? blkdebug : null);
        BlockBackend guest = await fixture.OpenGuestAsync("cbw"), snapshot = await fixture.OpenGuestAsync("snap");
        bool fails = failing == "read";
        Memory(fixture, "source").OnRequest = (kind, _, _) => fails && kind == "read" ? throw BlockException.FromErrno(Errno.EIO) : default;
        await guest.WriteAsync(0, Bytes(1 << 20, 1));
        fails = false;
        Assert.All(await ReadAsync(guest), b => Assert.Equal(1, b));
        Assert.Equal(Errno.EACCES, await ErrnoAsync(() => snapshot.ReadAsync(0, new byte[512])));
        Assert.Equal(Errno.EACCES, await ErrnoAsync(async () => await snapshot.Node.GetStatusAsync(0, Cluster, precise: true, default)));
        await snapshot.DiscardAsync(0, 1 << 20);
    }

    [Fact]
    public async Task What_a_reader_saw_while_the_snapshot_broke_is_not_handed_out()
    {
        await using JobFixture fixture = await OpenAsync(""", "on-cbw-error": "break-snapshot" """);
        BlockBackend guest = await fixture.OpenGuestAsync("cbw"), snapshot = await fixture.OpenGuestAsync("snap");
        var reading = new TaskCompletionSource();
        var go = new TaskCompletionSource();
        Memory(fixture, "source").OnRequest = async (kind, offset, _) =>
        {
            if (kind != "read" || offset != 8 * Cluster) return;
            reading.TrySetResult();
            await go.Task;
        };
        Memory(fixture, "kept").OnRequest = (_, _, _) => throw BlockException.FromErrno(Errno.EIO);
        Task read = snapshot.ReadAsync(8 * Cluster, new byte[512]).AsTask();
        await reading.Task;
        await guest.WriteAsync(0, Bytes(512, 1));    // breaks it
        await guest.WriteAsync(8 * Cluster, Bytes(512, 1));
        go.SetResult();
        Assert.Equal(Errno.EACCES, (await Assert.ThrowsAsync<BlockException>(() => read)).Errno);
    }

    [Fact]
    public async Task A_guest_waits_for_the_reader_whose_data_it_would_change()
    {
        await using JobFixture fixture = await OpenAsync();
        BlockBackend guest = await fixture.OpenGuestAsync("cbw"), snapshot = await fixture.OpenGuestAsync("snap");
        var reading = new TaskCompletionSource();
        var go = new TaskCompletionSource();
        Memory(fixture, "source").OnRequest = async (kind, _, length) =>
        {
            if (kind != "read" || length != 512) return;
            reading.TrySetResult();
            await go.Task;
        };
        byte[] seen = new byte[512];
        Task read = snapshot.ReadAsync(0, seen).AsTask();
        await reading.Task;
        Task write = guest.WriteAsync(1000, Bytes(512, 1)).AsTask();
        await guest.WriteAsync(5 * Cluster, Bytes(512, 1));   // elsewhere nobody waits
        Assert.False(write.IsCompleted);
        go.SetResult();
        await Task.WhenAll(read, write);
        Assert.All(seen, b => Assert.Equal(7, b));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_copy_that_takes_too_long_counts_as_failed(bool breaksSnapshot)
    {
        await using JobFixture fixture = new();
        fixture.Graph.ThrottleGroups.Add("slow", new ThrottleLimits { BytesWritten = new(300 << 10) });
        var source = (MemoryNode)await fixture.OpenAsync(Json("""{"driver": "memory", "node-name": "source", "size": 1048576}"""));
        source.Bytes.Write(0, Bytes(1 << 20, 7));
        await fixture.OpenAsync(Json("""{"driver": "memory", "node-name": "kept", "size": 1048576}"""));
        await AddFilterAsync(
            fixture, $""", "cbw-timeout": 1, "on-cbw-error": "{(breaksSnapshot ? "break-snapshot" : "break-guest-write")}" """,
            """{"driver": "throttle", "throttle-group": "slow", "file": "kept"}""");
        BlockBackend guest = await fixture.OpenGuestAsync("cbw"), snapshot = await fixture.OpenGuestAsync("snap");
        await guest.WriteAsync(0, Bytes(512 << 10, 1));
        if (breaksSnapshot)
        {
            await guest.WriteAsync(512 << 10, Bytes(512 << 10, 1));
            Assert.Equal(Errno.EACCES, await ErrnoAsync(() => snapshot.ReadAsync(0, new byte[1 << 20])));
        }
        else
        {
            Assert.Equal(Errno.ETIMEDOUT, await ErrnoAsync(() => guest.WriteAsync(512 << 10, Bytes(512 << 10, 1))));
            Assert.All(await ReadAsync(snapshot), b => Assert.Equal(7, b));
        }
    }

    [Fact]
    public async Task A_drained_section_waits_for_a_copy_that_was_given_up()
    {
        await using JobFixture fixture = await OpenAsync(""", "cbw-timeout": 1""");
        BlockBackend guest = await fixture.OpenGuestAsync("cbw");
        var go = new TaskCompletionSource();
        Memory(fixture, "kept").OnRequest = async (_, _, _) => await go.Task;
        Assert.Equal(Errno.ETIMEDOUT, await ErrnoAsync(() => guest.WriteAsync(0, Bytes(512, 1))));
        Task<DrainedSection> draining = BlockGraph.DrainAsync(fixture.Graph.FindNode("kept")!).AsTask();
        await Task.Delay(50, TestContext.Current.CancellationToken);
        Assert.False(draining.IsCompleted);
        go.SetResult();
        (await draining).Dispose();
        Assert.All(Memory(fixture, "kept").Bytes.ToArray()[..Cluster], b => Assert.Equal(7, b));
    }

    [Fact]
    public async Task What_is_discarded_is_given_up()
    {
        await using JobFixture fixture = await OpenAsync();
        BlockBackend guest = await fixture.OpenGuestAsync("cbw"), snapshot = await fixture.OpenGuestAsync("snap");
        await guest.WriteAsync(0, Bytes(3 * Cluster, 1));
        await snapshot.DiscardAsync(100, 2 * Cluster);   // the one whole cluster in it
        Assert.Equal(Errno.EINVAL, await ErrnoAsync(() => snapshot.ReadAsync(Cluster, new byte[1])));
        Assert.All(await ReadAsync(snapshot, 0, Cluster), b => Assert.Equal(7, b));
        Assert.All(await ReadAsync(snapshot, 2 * Cluster, Cluster), b => Assert.Equal(7, b));
        await snapshot.DiscardAsync(8 * Cluster, 8 * Cluster);
        await guest.WriteAsync(8 * Cluster, Bytes(8 * Cluster, 1));
        Assert.All(Memory(fixture, "kept").Bytes.ToArray()[(8 * Cluster)..], b => Assert.Equal(9, b));   // nobody wants it: not copied
    }

    [Fact]
    public async Task A_shorter_disk_keeps_its_snapshot()
    {
        await using JobFixture fixture = await OpenAsync();
        BlockBackend snapshot = await fixture.OpenGuestAsync("snap");
        await fixture.Graph.FindNode("cbw")!.ResizeAsync(Cluster, PreallocationMode.Off, default);
        Assert.All(await ReadAsync(snapshot), b => Assert.Equal(7, b));
        Assert.Equal(1 << 20, snapshot.Length);
    }

    [Fact]
    public async Task Nobody_writes_around_the_filter_or_resizes_the_target()
    {
        await using JobFixture fixture = await OpenAsync();
        await fixture.OpenGuestAsync("cbw");
        foreach ((string node, BlockPermissions needed, string name) in new[]
                 {
                     ("source", BlockPermissions.Write, "write"), ("source", BlockPermissions.Resize, "resize"), ("kept", BlockPermissions.Resize, "resize"),
                 })
        {
            var refused = await Assert.ThrowsAsync<BlockException>(
                async () => await fixture.Graph.OpenBackendAsync(fixture.Graph.FindNode(node)!, needed, BlockPermissions.All));
            Assert.StartsWith($"Permission conflict on node '{node}': permissions '{name}' are both required by", refused.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Without_the_filter_below_there_is_no_snapshot()
    {
        await using JobFixture fixture = await OpenAsync();
        await fixture.OpenAsync(Json("""{"driver": "snapshot-access", "node-name": "none", "file": "source"}"""));
        BlockBackend none = await fixture.OpenGuestAsync("none"), snapshot = await fixture.OpenGuestAsync("snap");
        Assert.Equal(Errno.EOPNOTSUPP, await ErrnoAsync(() => none.ReadAsync(0, new byte[1])));
        Assert.Equal(Errno.EOPNOTSUPP, await ErrnoAsync(() => snapshot.WriteAsync(0, new byte[1])));
        Assert.Equal(Errno.EOPNOTSUPP, await ErrnoAsync(() => snapshot.WriteZeroesAsync(0, 512)));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task Put_in_between_running_writers_the_filter_shows_that_moment(int seed)
    {
        const int Size = (3 << 20) + 512;
        await using JobFixture fixture = new();
        var source = (MemoryNode)await fixture.OpenAsync(Json($$"""{"driver": "memory", "node-name": "source", "size": {{Size}} }"""));
        var kept = (MemoryNode)await fixture.OpenAsync(Json($$"""{"driver": "memory", "node-name": "kept", "size": {{Size}} }"""));
        source.Bytes.Write(0, Bytes(Size / 2, 3));
        source.OnRequest = kept.OnRequest = async (_, _, _) =>
        {
            if (Random.Shared.Next(3) == 0) await Task.Yield();
        };
        BlockBackend guest = await fixture.OpenGuestAsync("source");
        using var stop = new CancellationTokenSource();
        Task[] writers = [.. Enumerable.Range(0, 4).Select(i => Task.Run(() => WriteAsync(guest, new Random(seed * 100 + i), stop.Token)))];
        await Task.Delay(20, TestContext.Current.CancellationToken);

        byte[] model = [];
        await fixture.OpenAsync(Json("""{"driver": "copy-before-write", "node-name": "cbw", "file": "source", "target": "kept"}"""));
        using (await fixture.Graph.ControlLock.EnterAsync())
        {
            var change = new GraphTransaction(fixture.Graph);
            change.Retarget(guest.Root, fixture.Graph.FindNode("cbw")!);
            change.OnCommit(() => model = source.Bytes.ToArray());
            await change.PrepareAsync();
            await change.CommitAsync();
        }

        await fixture.OpenAsync(Json("""{"driver": "snapshot-access", "node-name": "snap", "file": "cbw"}"""));
        BlockBackend snapshot = await fixture.OpenGuestAsync("snap");
        await Task.WhenAll(Enumerable.Range(0, 3).Select(i => Task.Run(() => CheckAsync(snapshot, model, new Random(seed * 1000 + i)))));
        await stop.CancelAsync();
        await Task.WhenAll(writers);
        Assert.Equal(model, await ReadAsync(snapshot));
        Assert.NotEqual(model, source.Bytes.ToArray());

        // Taken out again, the guest goes on as it was.
        byte[] now = source.Bytes.ToArray();
        using (await fixture.Graph.ControlLock.EnterAsync())
        {
            var change = new GraphTransaction(fixture.Graph);
            change.Retarget(guest.Root, source);
            await change.PrepareAsync();
            await change.CommitAsync();
        }

        Assert.Equal(now, await ReadAsync(guest));
    }

    private static async Task WriteAsync(BlockBackend guest, Random random, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            int offset = random.Next((int)guest.Length), length = random.Next(1, (int)Math.Min(100_000, guest.Length - offset) + 1);
            switch (random.Next(4))
            {
                case 0:
                    await guest.WriteZeroesAsync(offset, length, ZeroFlags.MayUnmap, CancellationToken.None);
                    break;
                case 1:
                    await guest.DiscardAsync(offset, length, CancellationToken.None);
                    break;
                default:
                    await guest.WriteAsync(offset, Bytes(length, (byte)random.Next(256)), WriteFlags.None, CancellationToken.None);
                    break;
            }
        }
    }

    private static async Task CheckAsync(BlockBackend snapshot, byte[] model, Random random)
    {
        for (int i = 0; i < 60; i++)
        {
            int offset = random.Next(model.Length), length = random.Next(1, Math.Min(300_000, model.Length - offset) + 1);
            byte[] read = await ReadAsync(snapshot, offset, length);
            Assert.True(model.AsSpan(offset, length).SequenceEqual(read), $"{length} bytes at {offset}");
            BlockStatus status = await snapshot.Node.GetStatusAsync(offset, length, precise: true, default);
            Assert.InRange(status.Length, 1, length);
            Assert.True(status.IsAllocated);
            if (status.IsZero) Assert.False(model.AsSpan(offset, (int)status.Length).ContainsAnyExcept((byte)0));
        }
    }
}
