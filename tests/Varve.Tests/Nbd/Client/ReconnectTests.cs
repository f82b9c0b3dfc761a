using System.Diagnostics;
using Varve.Graph;
using Varve.Nbd.Server;

namespace Varve.Tests.Nbd.Client;

/// <summary>A server that goes and comes back.</summary>
public class ReconnectTests
{
    [Fact]
    public async Task Requests_wait_for_the_server_and_are_sent_again()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await using OpenedExport disk = await OpenedExport.OpenAsync(server, o => o["reconnect-delay"] = 20L);
        await disk.Backend.WriteAsync(0, new byte[] { 1, 2, 3 });
        await server.StopAsync();
        Task write = disk.Backend.WriteAsync(512, new byte[] { 4, 5, 6 }).AsTask();
        Task flush = disk.Backend.FlushAsync().AsTask();
        await Task.Delay(300, TestContext.Current.CancellationToken);
        Assert.False(write.IsCompleted);
        await server.RestartAsync();
        await write.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
        await flush.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
        var read = new byte[3];
        await disk.Backend.ReadAsync(512, read);
        Assert.Equal([4, 5, 6], read);
    }

    [Fact]
    public async Task Without_a_delay_requests_fail_at_once_until_the_server_is_back()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await using OpenedExport disk = await OpenedExport.OpenAsync(server);
        await server.StopAsync();
        Assert.Equal(Errno.EIO, (await Assert.ThrowsAsync<BlockException>(() => disk.Backend.FlushAsync().AsTask())).Errno);
        await server.RestartAsync();
        var patience = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                await disk.Backend.FlushAsync();
                return;
            }
            catch (BlockException) when (patience.Elapsed < TimeSpan.FromSeconds(20))
            {
                await Task.Delay(20, TestContext.Current.CancellationToken);
            }
        }
    }

    [Fact]
    public async Task After_the_delay_requests_fail()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await using OpenedExport disk = await OpenedExport.OpenAsync(server, o => o["reconnect-delay"] = 1L);
        await server.StopAsync();
        BlockException failed = await Assert.ThrowsAsync<BlockException>(
            () => disk.Backend.FlushAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken));
        Assert.Equal(Errno.EIO, failed.Errno);
    }

    [Fact]
    public async Task A_drained_section_lets_waiting_requests_go()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await using OpenedExport disk = await OpenedExport.OpenAsync(server, o => o["reconnect-delay"] = 600L);
        await server.StopAsync();
        Task flush = disk.Backend.FlushAsync().AsTask();
        await Task.Delay(100, TestContext.Current.CancellationToken);
        Assert.False(flush.IsCompleted);
        using (await disk.Graph.ControlLock.EnterAsync(TestContext.Current.CancellationToken))
        {
            using DrainedSection drained = await BlockGraph.DrainAsync(disk.Backend.Node).AsTask().WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
        }

        Assert.Equal(Errno.EIO, (await Assert.ThrowsAsync<BlockException>(() => flush)).Errno);
    }

    [Fact]
    public async Task A_server_that_comes_back_with_another_disk_has_not_come_back()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await using OpenedExport disk = await OpenedExport.OpenAsync(server, o => o["reconnect-delay"] = 1L);
        await server.StopAsync();
        await server.RestartAsync(o => o with { Writable = false });
        await Assert.ThrowsAsync<BlockException>(() => disk.Backend.FlushAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Opening_waits_for_a_server_that_is_not_there_yet()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await server.StopAsync();
        Task<OpenedExport> opening = OpenedExport.OpenAsync(server, o => o["open-timeout"] = 20L);
        await Task.Delay(300, TestContext.Current.CancellationToken);
        Assert.False(opening.IsCompleted);
        await server.RestartAsync();
        await using OpenedExport disk = await opening.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Opening_gives_up_after_its_timeout()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await server.StopAsync();
        var time = Stopwatch.StartNew();
        BlockException failed = await Assert.ThrowsAsync<BlockException>(() => OpenedExport.OpenAsync(server, o => o["open-timeout"] = 1L));
        Assert.InRange(time.Elapsed.TotalSeconds, 0.95, 15);
        Assert.Equal($"Failed to connect to '{server.SocketPath}': No such file or directory", failed.Message);
    }
}
