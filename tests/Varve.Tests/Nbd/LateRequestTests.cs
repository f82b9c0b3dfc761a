using Varve.Nbd.Wire;

namespace Varve.Tests.Nbd;

/// <summary>Requests that do not complete on the spot.</summary>
public class LateRequestTests
{
    [Fact]
    public async Task A_late_request_does_not_hold_up_those_behind_it()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        server.Memory.Bytes.Write(0, [.. Enumerable.Repeat((byte)1, 8192)]);
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        server.Memory.OnRequest = (_, offset, _) => offset == 0 ? new(gate.Task) : default;
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync(structured: false);

        await client.SendAsync([.. NbdTestClient.Request(CommandType.Read, 1, 0, 4096), .. NbdTestClient.Request(CommandType.Read, 2, 4096, 4096)]);
        Assert.Equal((NbdError.None, 2UL), await client.ReadSimpleReplyAsync());
        Assert.All(await client.ReadAsync(4096), b => Assert.Equal(1, b));
        gate.SetResult();
        Assert.Equal((NbdError.None, 1UL), await client.ReadSimpleReplyAsync());
        Assert.All(await client.ReadAsync(4096), b => Assert.Equal(1, b));
    }

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    [InlineData(200_000)]
    public async Task More_late_requests_than_fit_in_flight_are_all_answered_with_their_own_data(int size)
    {
        const int count = 1000;
        await using NbdTestServer server = await NbdTestServer.StartAsync(size: 4 << 20);
        byte[] disk = new byte[4 << 20];
        new Random(size).NextBytes(disk);
        server.Memory.Bytes.Write(0, disk);
        var random = new Random(42);
        server.Memory.OnRequest = async (_, offset, _) =>
        {
            if (offset % 3 == 0) return;                       // some on the spot
            if (offset % 3 == 1) await Task.Yield();           // some soon
            else await Task.Delay((int)(offset % 7));          // some later
        };
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync(structured: false);

        long[] offsets = [.. Enumerable.Range(0, count).Select(_ => (long)random.Next((4 << 20) - size))];
        Task sending = client.SendAsync([.. offsets.SelectMany((offset, i) => NbdTestClient.Request(CommandType.Read, (ulong)i, offset, (uint)size))]).AsTask();
        var seen = new HashSet<ulong>();
        for (int i = 0; i < count; i++)
        {
            (NbdError error, ulong cookie) = await client.ReadSimpleReplyAsync();
            Assert.Equal(NbdError.None, error);
            Assert.True(seen.Add(cookie));
            byte[] data = await client.ReadAsync(size);
            Assert.True(disk.AsSpan((int)offsets[cookie], size).SequenceEqual(data), $"request {cookie}");
        }

        await sending;
    }

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    [InlineData(200_000)]
    public async Task Late_writes_keep_their_data_while_others_arrive(int size)
    {
        const int count = 200;
        await using NbdTestServer server = await NbdTestServer.StartAsync(size: count * size);
        server.Memory.OnRequest = async (_, offset, _) => { if (offset / size % 3 != 0) await Task.Delay((int)(offset / size % 5)); };
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync(structured: false);
        byte[] disk = new byte[count * size];
        new Random(size).NextBytes(disk);

        Task sending = SendAsync();
        for (int i = 0; i < count; i++) Assert.Equal(NbdError.None, (await client.ReadSimpleReplyAsync()).Error);
        await sending;
        Assert.True(disk.AsSpan().SequenceEqual(server.Memory.Bytes.ToArray()));

        async Task SendAsync()
        {
            for (int i = 0; i < count; i++)
            {
                await client.SendAsync([.. NbdTestClient.Request(CommandType.Write, (ulong)i, (long)i * size, (uint)size), .. disk[(i * size)..((i + 1) * size)]]);
            }
        }
    }

    [Fact]
    public async Task A_late_failure_is_answered_with_its_error()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        server.Memory.OnRequest = async (_, _, _) =>
        {
            await Task.Yield();
            throw BlockException.FromErrno(Errno.EIO);
        };
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync();
        Assert.Equal(NbdError.InputOutput, (await client.StructuredAsync(CommandType.Read, 0, 4096)).Error);
        Assert.Equal(NbdError.InputOutput, (await client.StructuredAsync(CommandType.Read, 0, 1 << 20)).Error);
        Assert.Equal(NbdError.InputOutput, (await client.StructuredAsync(CommandType.Write, 0, 4096, data: new byte[4096])).Error);
        Assert.Equal(NbdError.InputOutput, (await client.StructuredAsync(CommandType.Write, 0, 1 << 20, data: new byte[1 << 20])).Error);
        server.Memory.OnRequest = null;
        Assert.Equal(NbdError.None, (await client.StructuredAsync(CommandType.Read, 0, 4096)).Error);
    }

    [Fact]
    public async Task Disconnecting_waits_for_what_is_in_flight()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        server.Memory.OnRequest = async (_, _, _) => await Task.Delay(50);
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync(structured: false);
        await client.SendAsync([.. NbdTestClient.Request(CommandType.Read, 1, 0, 4096), .. NbdTestClient.Request(CommandType.Disconnect, 2)]);
        Assert.Equal((NbdError.None, 1UL), await client.ReadSimpleReplyAsync());
        await client.ReadAsync(4096);
        Assert.True(await client.IsDroppedAsync());
    }
}
