using Varve.Nbd.Server;
using Varve.Nbd.Transport;
using Varve.Nbd.Wire;

namespace Varve.Tests.Nbd;

public class SplitStreamTests
{
    [Fact]
    public async Task Where_the_stream_is_split_makes_no_difference()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        byte[] script = Script();
        byte[] expected = await PlayAsync(server, [script]);
        Assert.True(expected.Length > 600);

        for (int split = 1; split < script.Length; split++)
        {
            byte[] sent = await PlayAsync(server, [script[..split], script[split..]]);
            Assert.True(expected.AsSpan().SequenceEqual(sent), $"split at {split}");
        }

        Assert.Equal(expected, await PlayAsync(server, [.. script.Chunk(1)]));
        Assert.Equal(expected, await PlayAsync(server, [.. script.Chunk(3)]));
    }

    [Fact]
    public async Task A_client_that_leaves_at_any_byte_leaves_nothing_behind()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        byte[] script = Script();
        for (int length = 0; length < script.Length; length++) await PlayAsync(server, [script[..length]]);
        Assert.Equal(0, server.Exports.Find("export")!.ConnectionCount);
        Assert.Empty(server.Defects);
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync();   // and others are served
        Assert.Equal(NbdError.None, (await client.StructuredAsync(CommandType.Flush)).Error);
    }

    /// <summary>A handshake with every kind of option, then requests of every kind, then goodbye.</summary>
    private static byte[] Script() =>
    [
        0, 0, 0, 3,
        .. Option(OptionType.PeekExport, [1, 2, 3]),
        .. Option(OptionType.List, []),
        .. Option(OptionType.StructuredReply, []),
        .. Option(OptionType.SetMetaContext, NbdTestClient.ContextData("disk", "base:allocation")),
        .. Option(OptionType.Info, NbdTestClient.InfoData("nobody")),
        .. Option(OptionType.Go, NbdTestClient.InfoData("disk", InfoType.BlockSize)),
        .. NbdTestClient.Request(CommandType.Write, 1, offset: 4096, length: 100), .. Enumerable.Range(1, 100).Select(i => (byte)i),
        .. NbdTestClient.Request(CommandType.Read, 2, offset: 4096, length: 100),
        .. NbdTestClient.Request(CommandType.Write, 3, offset: 1 << 20, length: 10), .. new byte[10],
        .. NbdTestClient.Request(CommandType.Flush, 4),
        .. NbdTestClient.Request(CommandType.BlockStatus, 5, offset: 0, length: 65536),
        .. NbdTestClient.Request(CommandType.WriteZeroes, 6, offset: 4096, length: 512),
        .. NbdTestClient.Request(CommandType.Read, 7, offset: 4096, length: 512),
        .. NbdTestClient.Request(CommandType.Disconnect, 8),
    ];

    private static byte[] Option(OptionType option, byte[] data)
    {
        var header = new byte[OptionHeader.Size];
        new OptionHeader(option, (uint)data.Length).WriteTo(header);
        return [.. header, .. data];
    }

    private static async Task<byte[]> PlayAsync(NbdTestServer server, IReadOnlyList<byte[]> pieces)
    {
        var transport = new ScriptedTransport(pieces);
        var connection = new NbdConnection(server.Server, transport);
        connection.Start();
        await connection.Ended.WaitAsync(TimeSpan.FromSeconds(20));
        return transport.Sent.ToArray();
    }

    /// <summary>Gives the server exactly the pieces of the test, one a receive, and keeps what it sends.</summary>
    private sealed class ScriptedTransport(IReadOnlyList<byte[]> pieces) : NbdTransport
    {
        private int _next, _taken;

        public MemoryStream Sent { get; } = new();

        public override int Receive(Span<byte> buffer)
        {
            if (_next == pieces.Count) return 0;
            ReadOnlySpan<byte> piece = pieces[_next].AsSpan(_taken);
            int length = Math.Min(piece.Length, buffer.Length);
            piece[..length].CopyTo(buffer);
            _taken += length;
            if (length == piece.Length) (_next, _taken) = (_next + 1, 0);
            return length;
        }

        public override void Send(ReadOnlySpan<byte> bytes) => Sent.Write(bytes);

        public override int TrySend(ReadOnlySpan<byte> bytes) => 0;

        public override void SetTimeout(TimeSpan timeout) { }

        public override void Shutdown() { }

        public override void Dispose() { }
    }
}
