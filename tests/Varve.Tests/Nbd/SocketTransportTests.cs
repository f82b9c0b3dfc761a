using System.Net.Sockets;
using Varve.Nbd.Transport;
using Varve.Tests.Support;

namespace Varve.Tests.Nbd;

/// <summary>Receiving by asking again and again, and by waiting: nobody sees which it was.</summary>
public sealed class SocketTransportTests
{
    [Fact]
    public async Task Messages_that_follow_each_other_closely_and_after_pauses_arrive_whole()
    {
        await using Pair pair = await Pair.OpenAsync();
        Task echo = Task.Run(
            () =>
            {
                Span<byte> buffer = stackalloc byte[16];
                while (pair.Server.ReceiveSoon(buffer) is > 0 and int received) pair.Server.Send(buffer[..received]);
            },
            TestContext.Current.CancellationToken);
        byte[] back = new byte[8];
        for (int i = 0; i < 5000; i++)
        {
            if (i % 1000 == 999) await Task.Delay(50, TestContext.Current.CancellationToken);
            byte[] message = BitConverter.GetBytes((long)i);
            pair.Client.Send(message);
            for (int got = 0; got < back.Length;) got += pair.Client.Receive(back.AsSpan(got));
            Assert.Equal(message, back);
        }

        pair.Client.Shutdown();
        await echo.WaitAsync(Patience.Limit, TestContext.Current.CancellationToken);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_end_of_the_stream_is_told_by_whichever_side_it_is_ended(bool byServer)
    {
        await using Pair pair = await Pair.OpenAsync();
        byte[] one = [1];
        Task<int> receiving = Task.Run(
            () =>
            {
                while (pair.Server.ReceiveSoon(one) is > 0 and int received) pair.Server.Send(one.AsSpan(0, received));
                return 0;
            },
            TestContext.Current.CancellationToken);
        for (int i = 0; i < 100; i++)
        {
            pair.Client.Send([2]);
            Assert.Equal(1, pair.Client.Receive(new byte[1]));
        }

        (byServer ? pair.Server : pair.Client).Shutdown();
        await receiving.WaitAsync(Patience.Limit, TestContext.Current.CancellationToken);
    }

    private sealed class Pair(SocketTransport server, SocketTransport client, TempDirectory directory) : IAsyncDisposable
    {
        public SocketTransport Server => server;

        public SocketTransport Client => client;

        public static async Task<Pair> OpenAsync()
        {
            var directory = new TempDirectory();
            var address = new UnixDomainSocketEndPoint(directory["s"]);
            using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            listener.Bind(address);
            listener.Listen();
            var client = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await client.ConnectAsync(address);
            return new Pair(new SocketTransport(await listener.AcceptAsync()), new SocketTransport(client), directory);
        }

        public ValueTask DisposeAsync()
        {
            server.Dispose();
            client.Dispose();
            directory.Dispose();
            return default;
        }
    }
}
