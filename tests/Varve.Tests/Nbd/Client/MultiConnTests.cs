using System.Diagnostics;
using System.Text.Json.Nodes;
using Varve.Nbd.Server;
using Varve.Tests.Cli;
using Varve.Tests.Support;

namespace Varve.Tests.Nbd.Client;

/// <summary>Several connections to one export, and what the end of one of them means.</summary>
public class MultiConnTests
{
    private const int Size = 1 << 20;

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(16)]
    public async Task As_many_connections_are_opened_as_were_asked_for(int count)
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await using NbdTestProxy proxy = Proxy(server);
        await using (OpenedExport disk = await OpenAsync(proxy, count))
        {
            await proxy.UntilOpenAsync(count);
            await RandomRequests.RunAsync(disk.Backend, Size, seed: count);
            Assert.Equal(count, proxy.Connections.Count);
        }

        await proxy.UntilOpenAsync(0);
    }

    [Fact]
    public async Task A_client_that_leaves_while_connections_are_being_opened_breaks_none_off()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        for (int i = 0; i < 50; i++)
        {
            OpenedExport disk = await OpenedExport.OpenAsync(server, o => o["multi-conn"] = 16L);
            if (i % 2 == 0) await disk.Backend.FlushAsync();
            await disk.DisposeAsync();
        }

        Assert.Empty(server.FailedNegotiations);
    }

    [Fact]
    public async Task A_client_that_leaves_does_not_wait_for_a_server_without_room_for_all_connections()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(new NbdServerOptions { MaxConnections = 2 });
        await using NbdTestProxy proxy = Proxy(server);
        OpenedExport disk = await OpenAsync(proxy, connections: 4);
        await Patience.UntilAsync(() => proxy.Connections.Count == 3, "a third, which the server does not accept");
        await disk.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);   // a handshake may take 30
    }

    [Fact]
    public async Task Requests_are_spread_over_the_connections()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await using NbdTestProxy proxy = Proxy(server);
        await using OpenedExport disk = await OpenAsync(proxy, connections: 4);
        await proxy.UntilOpenAsync(4);
        await UntilUsedAsync(disk, proxy);
    }

    /// <summary>The proxy sees a connection before the client has taken it in.</summary>
    private static Task UntilUsedAsync(OpenedExport disk, NbdTestProxy proxy) => Patience.UntilAsync(
        async () =>
        {
            await Task.WhenAll(Enumerable.Range(0, 32).Select(_ => disk.Backend.ReadAsync(0, new byte[16 << 10]).AsTask()));
            return proxy.Connections.All(c => c.Traffic > 16 << 10);
        },
        "reads on every connection");

    [Fact]
    public async Task A_server_that_does_not_announce_it_gets_one_connection()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(new NbdServerOptions { MaxConnections = 1 });
        await using NbdTestProxy proxy = Proxy(server);
        await using OpenedExport disk = await OpenAsync(proxy, connections: 4);
        await RandomRequests.RunAsync(disk.Backend, Size, seed: 1);
        Assert.Single(proxy.Connections);
    }

    [Fact]
    public async Task A_server_with_room_for_fewer_is_used_with_these()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(new NbdServerOptions { MaxConnections = 2 });
        await using NbdTestProxy proxy = Proxy(server);
        await using OpenedExport disk = await OpenAsync(proxy, connections: 4);
        await Patience.UntilAsync(() => server.Server.ConnectionCount == 2, "two clients");
        await RandomRequests.RunAsync(disk.Backend, Size, seed: 1);   // the third waits to be accepted, and nobody waits for it
    }

    [Fact]
    public async Task A_connection_that_shows_another_export_is_not_used()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(), other = await NbdTestServer.StartAsync(size: 2 * Size);
        await using NbdTestProxy proxy = new(server.PathOf("proxy"), server.SocketPath, others: other.SocketPath);
        await using OpenedExport disk = await OpenAsync(proxy, connections: 4);
        await Patience.UntilAsync(() => proxy.Connections is [_, { IsOpen: false }], "a second one, left");
        await RandomRequests.RunAsync(disk.Backend, Size, seed: 1);
        Assert.Equal(2, proxy.Connections.Count);
        Assert.All(other.Memory.Bytes.ToArray(), b => Assert.Equal(0, b));
    }

    [Theory]
    [InlineData("0")]
    [InlineData("17")]
    [InlineData("4294967295")]
    public async Task A_number_out_of_range_is_refused(string number)
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        BlockException refused = await Assert.ThrowsAsync<BlockException>(() => OpenedExport.OpenAsync(server, o => o["multi-conn"] = number));
        Assert.Equal("Parameter 'multi-conn' expects a number from 1 to 16", refused.Message);
    }

    // ---- Connections that end

    [Fact]
    public async Task A_connection_that_ends_idle_is_replaced_and_nobody_notices()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await using NbdTestProxy proxy = Proxy(server);
        await using OpenedExport disk = await OpenAsync(proxy, connections: 3);
        await proxy.UntilOpenAsync(3);
        await UntilUsedAsync(disk, proxy);
        for (int i = 0; i < 3; i++)
        {
            await disk.Backend.WriteAsync(i * 512, new byte[] { 1, 2, 3 });
            await proxy.Connections[i].DropAsync();
            await disk.Backend.FlushAsync();   // on another: it covers what the first had acknowledged
            Assert.Equal(i + 1, server.Memory.Flushes);
            await proxy.UntilOpenAsync(3);
        }

        Assert.Equal(6, proxy.Connections.Count);
    }

    [Fact]
    public async Task Reads_of_a_connection_that_ended_are_answered_on_another()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await using NbdTestProxy proxy = Proxy(server);
        await using OpenedExport disk = await OpenAsync(proxy, connections: 2);
        await proxy.UntilOpenAsync(2);
        await UntilUsedAsync(disk, proxy);
        using var held = new HeldRequests(server.Memory, "read");
        Task reads = Task.WhenAll(Enumerable.Range(0, 4).Select(i => disk.Backend.ReadAsync(i * 512, new byte[512]).AsTask()));
        await held.UntilAsync(4);
        Task dropped = proxy.Connections[0].DropAsync();
        held.Release();
        await dropped;
        await reads.WaitAsync(Patience.Limit, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task A_write_of_a_connection_that_ended_fails_where_there_is_no_reconnect_delay()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await using NbdTestProxy proxy = Proxy(server);
        await using OpenedExport disk = await OpenAsync(proxy, connections: 2);
        await proxy.UntilOpenAsync(2);
        using var held = new HeldRequests(server.Memory, "write");
        Task write = disk.Backend.WriteAsync(0, new byte[512]).AsTask();
        await held.UntilAsync(1);
        Task dropped = proxy.Connections[0].DropAsync();
        held.Release();
        await dropped;
        Assert.Equal(Errno.EIO, (await Assert.ThrowsAsync<BlockException>(() => write.WaitAsync(Patience.Limit, TestContext.Current.CancellationToken))).Errno);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task With_a_reconnect_delay_connections_that_end_in_the_middle_lose_nothing(int seed)
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await using NbdTestProxy proxy = Proxy(server);
        await using OpenedExport disk = await OpenAsync(proxy, connections: 4, change: o => o["reconnect-delay"] = 60L);
        Task requests = RandomRequests.RunAsync(disk.Backend, Size, seed);
        var random = new Random(seed);
        for (int drops = 0; !requests.IsCompleted && drops < 20; drops++)
        {
            await Task.Delay(random.Next(1, 20), TestContext.Current.CancellationToken);
            NbdTestProxy.Connection[] open = [.. proxy.Connections.Where(c => c.IsOpen)];
            if (open.Length > 0) await open[random.Next(open.Length)].DropAsync();
        }

        await requests.WaitAsync(Patience.Limit, TestContext.Current.CancellationToken);
        await disk.Backend.FlushAsync();   // where the last connection was dropped behind the last request, only another request asks for one
        await proxy.UntilOpenAsync(4);
    }

    [Fact]
    public async Task After_an_outage_all_connections_come_back()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await using OpenedExport disk = await OpenedExport.OpenAsync(server, o =>
        {
            o["multi-conn"] = 4L;
            o["reconnect-delay"] = 60L;
        });
        await Patience.UntilAsync(() => server.Server.ConnectionCount == 4, "four clients");
        await disk.Backend.WriteAsync(0, new byte[] { 1, 2, 3 });
        await server.StopAsync();
        Task write = disk.Backend.WriteAsync(512, new byte[] { 4, 5, 6 }).AsTask();
        await server.RestartAsync();
        await write.WaitAsync(Patience.Limit, TestContext.Current.CancellationToken);
        await disk.Backend.FlushAsync();
        await Patience.UntilAsync(() => server.Server.ConnectionCount == 4, "four clients");
    }

    [Fact]
    public async Task A_whole_disk_is_copied_over_several_connections()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await using NbdTestProxy proxy = Proxy(server);
        byte[] data = new byte[Size];
        new Random(1).NextBytes(data);
        server.Memory.Bytes.Write(0, data);
        using var held = new HeldRequests(server.Memory, "read");
        string copy = server.PathOf("copy");
        Task<ToolRun> convert = ToolRun.ImgAsync("convert", "-f", "raw", "-O", "raw", $"nbd+unix:///disk?socket={proxy.Path}", copy);
        await proxy.UntilOpenAsync(4);
        held.Release();
        Assert.Equal(0, (await convert.EndAsync()).ExitCode);
        Assert.Equal(data, await File.ReadAllBytesAsync(copy, TestContext.Current.CancellationToken));
    }

    // ---- Other servers

    [Theory]
    [InlineData("qemu-nbd", "-f", "raw", "-t", "-e", "16", "-k", "SOCKET", "FILE")]
    [InlineData("qemu-nbd", "-f", "raw", "-t", "-e", "2", "-k", "SOCKET", "FILE")]
    [InlineData("nbdkit", "-f", "-U", "SOCKET", "file", "FILE")]
    [InlineData("nbdkit", "-f", "-U", "SOCKET", "--filter=multi-conn", "file", "FILE", "multi-conn-mode=disable")]
    public async Task Servers_of_others_keep_what_is_written_over_several_connections(string tool, params string[] arguments)
    {
        Tool.Need(tool);
        using var directory = new TempDirectory();
        string file = directory["image"], socket = directory["socket"];
        await File.WriteAllBytesAsync(file, new byte[Size], TestContext.Current.CancellationToken);
        using Process server = Tool.Start(tool, arguments.Select(a => a == "SOCKET" ? socket : a == "FILE" ? file : a));
        try
        {
            await Patience.UntilExistsAsync(socket);
            await using NbdTestProxy proxy = new(directory["proxy"], socket);
            await using OpenedExport disk = await OpenAsync(proxy, connections: 4, export: "", change: o => o["reconnect-delay"] = 60L);
            Task requests = RandomRequests.RunAsync(disk.Backend, Size, seed: 5);
            await proxy.Connections[0].DropAsync();
            await requests.WaitAsync(Patience.Limit, TestContext.Current.CancellationToken);
        }
        finally
        {
            server.Kill();
        }
    }

    private static NbdTestProxy Proxy(NbdTestServer server) => new(server.PathOf("proxy"), server.SocketPath);

    private static Task<OpenedExport> OpenAsync(
        NbdTestProxy proxy, int connections, string export = "disk", Action<JsonObject>? change = null)
    {
        var options = new JsonObject
        {
            ["driver"] = "nbd",
            ["export"] = export,
            ["server"] = new JsonObject { ["type"] = "unix", ["path"] = proxy.Path },
            ["multi-conn"] = (long)connections,
        };
        change?.Invoke(options);
        return OpenedExport.OpenAsync(options);
    }

    /// <summary>Requests of one kind that have reached a node and wait there.</summary>
    private sealed class HeldRequests : IDisposable
    {
        private readonly MemoryNode _node;
        private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _count;

        public HeldRequests(MemoryNode node, string kind)
        {
            _node = node;
            node.OnRequest = (k, _, _) =>
            {
                if (k != kind) return default;
                Interlocked.Increment(ref _count);
                return new ValueTask(_released.Task);
            };
        }

        public Task UntilAsync(int count) => Patience.UntilAsync(() => Volatile.Read(ref _count) >= count, $"{count} requests");

        public void Release() => _released.TrySetResult();

        public void Dispose()
        {
            _node.OnRequest = null;
            Release();
        }
    }
}
