using System.Diagnostics;
using Varve.Nbd.Server;
using Varve.Nbd.Wire;
using Varve.Tests.Support;

namespace Varve.Tests.Nbd;

/// <summary>What a bad client does is its own loss: it is dropped, or waits, and the others are served as before.</summary>
public class HostileClientTests
{
    [Fact]
    public async Task A_client_with_unknown_flags_is_dropped()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GreetAsync((ClientFlags)0x80);
        Assert.True(await client.IsDroppedAsync());
    }

    [Fact]
    public async Task Garbage_instead_of_an_option_ends_the_connection()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GreetAsync();
        await client.SendAsync("GET / HTTP/1.1\r\nHost: here\r\n\r\n"u8.ToArray());
        Assert.True(await client.IsDroppedAsync());
    }

    [Fact]
    public async Task Garbage_instead_of_a_request_ends_the_connection()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync();
        await client.SendAsync(new byte[RequestHeader.Size]);
        Assert.True(await client.IsDroppedAsync());
        await AssertServedAsync(server);
    }

    [Fact]
    public async Task An_option_with_too_much_data_is_skipped_and_refused()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GreetAsync();
        Assert.Equal(OptionReplyType.ErrorTooBig, (await client.OptionAsync(OptionType.Go, new byte[1 << 20]))[^1].Type);
        Assert.Equal(OptionReplyType.Ack, (await client.OptionAsync(OptionType.Go, NbdTestClient.InfoData("disk")))[^1].Type);
    }

    [Theory]
    [InlineData(OptionType.Go, uint.MaxValue)]
    [InlineData(OptionType.ExportName, uint.MaxValue)]
    [InlineData(OptionType.ExportName, 4097u)]
    public async Task An_option_that_claims_absurd_lengths_ends_the_connection(object option, uint claimed)
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GreetAsync();
        await client.SendOptionAsync((OptionType)option, new byte[4097], claimed);
        Assert.True(await client.IsDroppedAsync());
    }

    [Fact]
    public async Task A_client_that_does_not_finish_the_handshake_loses_its_place()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(
            new NbdServerOptions { MaxConnections = 2, HandshakeTimeout = TimeSpan.FromMilliseconds(300) });
        using NbdTestClient silent = await server.ConnectAsync();
        using NbdTestClient trickling = await (await server.ConnectAsync()).GreetAsync();
        using var stop = new CancellationTokenSource();
        Task trickle = TrickleAsync(trickling, stop.Token);

        using NbdTestClient third = await (await server.ConnectAsync()).GoAsync();   // waits for a place, gets one

        Assert.Equal(NbdError.None, (await third.StructuredAsync(CommandType.Flush)).Error);
        await Task.Delay(500, TestContext.Current.CancellationToken);
        Assert.Equal(NbdError.None, (await third.StructuredAsync(CommandType.Flush)).Error);   // in transmission nobody looks at the clock
        await stop.CancelAsync();
        await trickle;

        static async Task TrickleAsync(NbdTestClient client, CancellationToken stop)
        {
            byte[] option = new byte[OptionHeader.Size];
            new OptionHeader(OptionType.List, 60_000).WriteTo(option);
            try
            {
                foreach (byte b in (byte[])[.. option, .. new byte[1000]])
                {
                    await client.SendAsync([b]);
                    await Task.Delay(50, stop);
                }
            }
            catch (Exception e) when (e is IOException or OperationCanceledException)
            {
                // dropped, as it should be
            }
        }
    }

    [Fact]
    public async Task At_the_limit_the_next_client_waits_until_one_leaves()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(new NbdServerOptions { MaxConnections = 2 });
        using NbdTestClient first = await (await server.ConnectAsync()).GoAsync();
        using NbdTestClient second = await (await server.ConnectAsync()).GoAsync();
        using NbdTestClient third = await server.ConnectAsync();
        Task<NbdTestClient> waiting = third.GoAsync();
        Assert.NotSame(waiting, await Task.WhenAny(waiting, Task.Delay(200, TestContext.Current.CancellationToken)));
        first.Dispose();
        await waiting.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        Assert.Equal(NbdError.None, (await third.StructuredAsync(CommandType.Flush)).Error);
    }

    [Fact]
    public async Task A_client_that_never_reads_holds_up_nobody_and_can_be_removed()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(size: 8 << 20);
        new Random(1).NextBytes(server.Memory.Bytes.ToArray());
        using NbdTestClient stalled = await (await server.ConnectAsync()).GoAsync();
        var requests = new List<byte>();
        for (ulong i = 0; i < 1000; i++) requests.AddRange(NbdTestClient.Request(CommandType.Read, i, 0, 1 << 20, CommandFlags.DontFragment));
        await stalled.SendAsync([.. requests]);

        for (int i = 0; i < 20; i++) await AssertServedAsync(server);

        var watch = Stopwatch.StartNew();
        await server.RemoveAsync("export", ExportRemoveMode.Hard);
        await Patience.UntilAsync(() => server.Deleted.Contains("export"), "the export is deleted");
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task A_client_that_never_reads_late_replies_holds_up_nobody()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(size: 8 << 20);
        server.Memory.OnRequest = async (kind, _, length) => { if (kind == "read" && length == 1 << 20) await Task.Yield(); };
        using NbdTestClient stalled = await (await server.ConnectAsync()).GoAsync();
        var requests = new List<byte>();
        for (ulong i = 0; i < 1000; i++) requests.AddRange(NbdTestClient.Request(CommandType.Read, i, 0, 1 << 20, CommandFlags.DontFragment));
        await stalled.SendAsync([.. requests]);
        for (int i = 0; i < 20; i++) await AssertServedAsync(server);
    }

    [Fact]
    public async Task A_client_that_announces_data_and_leaves_writes_nothing()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(size: 4 << 20);
        foreach (int length in new[] { 4096, 1 << 20 })
        {
            using NbdTestClient client = await (await server.ConnectAsync()).GoAsync();
            await client.SendAsync([.. NbdTestClient.Request(CommandType.Write, 1, 0, (uint)length), .. Enumerable.Repeat((byte)9, length - 1)]);
            client.Dispose();
            await Patience.UntilAsync(() => server.Exports.Find("export")!.ConnectionCount == 0, "the client is gone");
        }

        Assert.All(server.Memory.Bytes.ToArray(), b => Assert.Equal(0, b));
        await AssertServedAsync(server);
    }

    [Fact]
    public async Task A_client_that_leaves_with_requests_in_flight_has_them_finished_before_it_counts_as_gone()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        server.Memory.OnRequest = async (_, _, _) =>
        {
            begun.TrySetResult();
            await gate.Task;
        };
        using (NbdTestClient client = await (await server.ConnectAsync()).GoAsync())
        {
            await client.SendAsync([.. NbdTestClient.Request(CommandType.Write, 1, 0, 4096), .. Enumerable.Repeat((byte)9, 4096)]);
            await begun.Task;
        }

        await Task.Delay(100, TestContext.Current.CancellationToken);
        Assert.Equal(1, server.Exports.Find("export")!.ConnectionCount);
        gate.SetResult();
        await Patience.UntilAsync(() => server.Exports.Find("export")!.ConnectionCount == 0, "the client is gone");
        Assert.Equal(9, server.Memory.Bytes.ToArray()[4095]);
    }

    private static async Task AssertServedAsync(NbdTestServer server)
    {
        using NbdTestClient other = await (await server.ConnectAsync()).GoAsync();
        Assert.Equal(NbdError.None, (await other.StructuredAsync(CommandType.Read, 0, 4096)).Error);
        Assert.Equal(NbdError.None, (await other.StructuredAsync(CommandType.Flush)).Error);
    }
}
