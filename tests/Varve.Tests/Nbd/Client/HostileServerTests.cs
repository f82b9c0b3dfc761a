using Varve.Nbd.Client;
using Varve.Nbd.Transport;
using Varve.Nbd.Wire;
using static Varve.Tests.Nbd.Client.ScriptedServer;

namespace Varve.Tests.Nbd.Client;

/// <summary>Nothing a server sends is believed.</summary>
public class HostileServerTests
{
    private static readonly NbdClientOptions s_options = new() { Server = new UnixTarget("/nowhere"), Export = "disk" };

    // ---- The handshake

    [Theory]
    [MemberData(nameof(BadHandshakes))]
    public void A_handshake_that_breaks_the_protocol_ends_in_an_error_that_says_how(string message, byte[][] parts)
    {
        var server = new ScriptedServer();
        for (int i = 0; i < parts.Length; i++) server.Say(i == 0 ? 0 : i + 1, parts[i]);
        BlockException refused = Assert.Throws<BlockException>(() => NbdClientConnection.Negotiate(server, s_options, _ => { }));
        Assert.Equal(message, refused.Message);
    }

    public static TheoryData<string, byte[][]> BadHandshakes()
    {
        const string end = "Unexpected end-of-file before all data were read";
        byte[] noExtended = Reply(OptionType.ExtendedHeaders, OptionReplyType.ErrorUnsupported);
        byte[] structured = Reply(OptionType.StructuredReply, OptionReplyType.Ack);
        byte[] context = [.. Reply(OptionType.SetMetaContext, OptionReplyType.MetaContext, [0, 0, 0, 1, .. "base:allocation"u8])];
        byte[] contexts = [.. context, .. Reply(OptionType.SetMetaContext, OptionReplyType.Ack)];
        byte[] Info(params byte[] data) => Reply(OptionType.Go, OptionReplyType.Info, data);
        byte[] Sizes(uint minimum, uint preferred, uint maximum) => Info([0, 3, .. Big(minimum), .. Big(preferred), .. Big(maximum)]);
        var cases = new TheoryData<string, byte[][]>
        {
            { $"Failed to read initial magic: {end}", [[]] },
            { $"Failed to read initial magic: {end}", [[.. "NBDM"u8]] },
            { "Bad initial magic received: 0x7878787878787878", [[.. "xxxxxxxx"u8]] },
            { "Bad server magic received: 0x7979797979797979", [[.. "NBDMAGICyyyyyyyy"u8]] },
            { $"Failed to read server flags: {end}", [Greeting()[..17]] },
            { "Server does not support non-empty export names", [[.. "NBDMAGIC"u8, 0, 0, 0x42, 0x02, 0x81, 0x86, 0x12, 0x53]] },
            { $"Failed to read option reply: {end}", [Greeting(), noExtended[..19]] },
            { "Unexpected option reply magic", [Greeting(), new byte[20]] },
            { "Unexpected option type 9 (list meta context), expected 11 (extended headers)", [Greeting(), Reply(OptionType.ListMetaContext, OptionReplyType.Ack)] },
            { "unexpected reply type 3 (info), expected 1 (ack)", [Greeting(), Reply(OptionType.ExtendedHeaders, OptionReplyType.Info)] },
            { "Option 11 ('extended headers') response length is 3 (it should be zero)", [Greeting(), Reply(OptionType.ExtendedHeaders, OptionReplyType.Ack, 1, 2, 3)] },
            { "server error 2147483649 (unsupported) message is too long", [Greeting(), [.. noExtended[..16], 0x40, 0, 0, 0]] },
            { "Server answered with more than one context", [Greeting(), noExtended, structured, [.. context, .. context]] },
            {
                "Failed to negotiate meta context 'base:allocation', server answered with different context 'base:?'",
                [Greeting(), noExtended, structured, Reply(OptionType.SetMetaContext, OptionReplyType.MetaContext, [0, 0, 0, 1, .. "base:\n"u8])]
            },
            {
                "Failed to negotiate meta context 'base:allocation', server answered with unexpected length 3",
                [Greeting(), noExtended, structured, Reply(OptionType.SetMetaContext, OptionReplyType.MetaContext, 0, 0, 0)]
            },
            {
                "option reply of 1073741824 bytes is too long",
                [Greeting(), noExtended, structured, [.. Reply(OptionType.SetMetaContext, OptionReplyType.MetaContext)[..16], 0x40, 0, 0, 0]]
            },
            { "Requested export not available", [Greeting(), noExtended, structured, contexts, Reply(OptionType.Go, OptionReplyType.ErrorUnknown, [.. "no"u8])] },
            { "unexpected reply type 2 (server), expected 3 (info)", [Greeting(), noExtended, structured, contexts, Reply(OptionType.Go, OptionReplyType.Server)] },
        };
        foreach ((string message, byte[] go) in ((string, byte[])[])[
            ("broken server omitted NBD_INFO_EXPORT", Reply(OptionType.Go, OptionReplyType.Ack)),
            ("broken server omitted NBD_INFO_EXPORT", [.. Info(Export(1 << 20, TransmissionFlags.None)), .. Reply(OptionType.Go, OptionReplyType.Ack)]),
            ("server sent invalid NBD_REP_ACK", Reply(OptionType.Go, OptionReplyType.Ack, 1)),
            ("NBD_REP_INFO length 1 is too short", Info(1)),
            ("remaining export info len 8 is unexpected size", Info([0, 0, .. Big(5UL)])),
            ("remaining export info len 8 is unexpected size", Info([0, 3, .. Big(5UL)])),
            ("server minimum block size 3 is not a power of two", Sizes(3, 4096, 1 << 25)),
            ("server minimum block size 131072 is larger than 65536", Sizes(1 << 17, 1 << 17, 1 << 25)),
            ("server preferred block size 512 is not valid", Sizes(4096, 512, 1 << 25)),
            ("server maximum block size 100 is not valid", Sizes(512, 4096, 100)),
            ("export length 9223372036854775808 is larger than 9223372036854775807", Info(Export(long.MinValue, TransmissionFlags.HasFlags))),
            ("export size 1000 is not multiple of minimum block size 512",
                [.. Sizes(512, 4096, 1 << 25), .. Info(Export(1000, TransmissionFlags.HasFlags)), .. Reply(OptionType.Go, OptionReplyType.Ack)])])
        {
            cases.Add(message, [Greeting(), noExtended, structured, contexts, go]);
        }

        return cases;
    }

    // ---- Transmission

    [Theory]
    [MemberData(nameof(BadReplies))]
    public async Task A_reply_that_breaks_the_protocol_ends_the_connection_and_gives_the_request_back(string failure, bool structured, byte[] reply)
    {
        ScriptedServer server = new ScriptedServer { StaysOpen = true }.Handshake(structured: structured).Say(structured ? 6 : 5, reply);
        var ended = new TaskCompletionSource();
        NbdClientConnection connection = NbdClientConnection.Negotiate(server, s_options, _ => ended.SetResult());
        var request = new ClientRequest();
        request.Set(CommandType.Read, CommandFlags.None, offset: 1024, length: 1024, new byte[1024]);
        Assert.False(await connection.SendAsync(request).AsTask().WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken));
        await ended.Task.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
        Assert.Equal($"Protocol error: the server sent {failure}", connection.Failure);
        Assert.False(await connection.SendAsync(request));   // and later ones too
    }

    public static TheoryData<string, bool, byte[]> BadReplies()
    {
        byte[] Data(ulong offset, int length) => [.. Big(offset), .. new byte[length]];
        byte[] Lie(byte[] chunk, uint length) => [.. chunk[..16], .. Big(length), .. chunk[20..]];
        byte[] zeros = new byte[20];
        return new TheoryData<string, bool, byte[]>
        {
            { "reply magic 0x00000000", true, zeros },
            { "reply magic 0x00000000", false, zeros },
            { "reply magic 0x668e33ef", false, Chunk(1, ChunkType.None, true) },
            { "a simple reply where chunks were expected", true, Simple(1, NbdError.None, new byte[1024]) },
            { "an answer to request 0x200, which waits for none", true, Chunk(2, ChunkType.None, true) },
            { "an answer to request 0x1ff, which waits for none", true, [.. Chunk(1, ChunkType.None, true)[..15], 0xFF, 0, 0, 0, 0] },
            { "an empty chunk of 1 bytes", true, Chunk(1, ChunkType.None, true, 1) },
            { "an empty chunk of 0 bytes", true, Chunk(1, ChunkType.None, false) },
            { "chunk type 77", true, Chunk(1, (ChunkType)77, true) },
            { "0 bytes where 1024 were asked for", true, Chunk(1, ChunkType.None, true) },
            { "1000 bytes where 1024 were asked for", true, Chunk(1, ChunkType.OffsetData, true, Data(1024, 1000)) },
            { "a chunk of 1025 bytes at 1024 outside of the range asked for", true, Chunk(1, ChunkType.OffsetData, true, Data(1024, 1025)) },
            { "a chunk of 10 bytes at 1023 outside of the range asked for", true, Chunk(1, ChunkType.OffsetData, true, Data(1023, 10)) },
            { "a chunk of 10 bytes at 2039 outside of the range asked for", true, Chunk(1, ChunkType.OffsetData, true, Data(2039, 10)) },
            { "a chunk of 10 bytes at 18446744073709551615 outside of the range asked for", true, Chunk(1, ChunkType.OffsetData, true, Data(ulong.MaxValue, 10)) },
            { "a data chunk of 8 bytes", true, Chunk(1, ChunkType.OffsetData, true, Data(1024, 0)) },
            { "a data chunk of 4294967295 bytes", true, Lie(Chunk(1, ChunkType.OffsetData, true, Data(1024, 8)), uint.MaxValue) },
            {
                "more data than was asked for", true,
                [.. Chunk(1, ChunkType.OffsetData, false, Data(1024, 600)), .. Chunk(1, ChunkType.OffsetData, true, Data(1024, 600))]
            },
            { "a chunk of 0 bytes at 1024 outside of the range asked for", true, Chunk(1, ChunkType.OffsetHole, true, [.. Big(1024UL), .. Big(0U)]) },
            { "a hole chunk of 11 bytes", true, Chunk(1, ChunkType.OffsetHole, true, new byte[11]) },
            { "a chunk of 4294967295 bytes at 1024 outside of the range asked for", true, Chunk(1, ChunkType.OffsetHole, true, [.. Big(1024UL), .. Big(uint.MaxValue)]) },
            { "block status that nobody asked for", true, Chunk(1, ChunkType.BlockStatus, true, [.. Big(7U), .. Big(512U), .. Big(0U)]) },
            { "chunk type 6", true, Chunk(1, ChunkType.BlockStatusExtended, true, new byte[24]) },
            { "an error chunk of 5 bytes", true, Chunk(1, ChunkType.Error, true, new byte[5]) },
            { "an error chunk of 1048576 bytes", true, Lie(Chunk(1, ChunkType.Error, true, new byte[6]), 1 << 20) },
            { "an error text longer than its chunk", true, Chunk(1, ChunkType.Error, true, 0, 0, 0, 5, 0, 1) },
            { "an error chunk without an error", true, Chunk(1, ChunkType.Error, true, 0, 0, 0, 0, 0, 0) },
        };
    }

    [Theory]
    [InlineData("0 0 0 8 0 0 2 0 0 0 0 0", "block status of context 8, which was not selected")]
    [InlineData("0 0 0 7 0 0 0 0 0 0 0 0", "an extent of no length")]
    [InlineData("0 0 0 7", "a block status chunk of 4 bytes")]
    [InlineData("0 0 0 7 0 0 2 0 0 0 0 0 1", "a block status chunk of 13 bytes")]
    public async Task A_block_status_that_breaks_the_protocol_ends_the_connection(string payload, string failure)
    {
        byte[] bytes = [.. payload.Split(' ').Select(byte.Parse)];
        ScriptedServer server = new ScriptedServer { StaysOpen = true }.Handshake().Say(6, Chunk(1, ChunkType.BlockStatus, true, bytes));
        var ended = new TaskCompletionSource();
        NbdClientConnection connection = NbdClientConnection.Negotiate(server, s_options, _ => ended.SetResult());
        var request = new ClientRequest();
        request.Set(CommandType.BlockStatus, CommandFlags.RequestOne, offset: 0, length: 512);
        Assert.False(await connection.SendAsync(request));
        await ended.Task;
        Assert.Equal($"Protocol error: the server sent {failure}", connection.Failure);
    }

    [Fact]
    public async Task Chunks_that_overlap_show_nothing_that_lay_in_the_buffer_before()
    {
        byte[] first = [.. Big(1024UL), .. Enumerable.Repeat((byte)1, 512)];
        ScriptedServer server = new ScriptedServer { StaysOpen = true }.Handshake()
            .Say(6, [.. Chunk(1, ChunkType.OffsetData, false, first), .. Chunk(1, ChunkType.OffsetData, true, first)]);
        NbdClientConnection connection = NbdClientConnection.Negotiate(server, s_options, _ => { });
        var secret = new byte[1024];
        secret.AsSpan().Fill(0x5E);
        var request = new ClientRequest();
        request.Set(CommandType.Read, CommandFlags.None, offset: 1024, length: 1024, secret);
        Assert.True(await connection.SendAsync(request));
        Assert.DoesNotContain((byte)0x5E, secret);
        connection.Close();
    }

    // ---- Where the stream is split

    [Fact]
    public async Task Where_the_servers_stream_is_split_makes_no_difference()
    {
        int length = Session(new ScriptedServer { StaysOpen = true }).Length;
        for (int split = 1; split < length; split++) await PlayAsync(Session(new ScriptedServer { StaysOpen = true, SplitAt = split }));
        await PlayAsync(Session(new ScriptedServer { StaysOpen = true, PieceLength = 1 }));
        await PlayAsync(Session(new ScriptedServer { StaysOpen = true, PieceLength = 3 }));
    }

    [Fact]
    public void A_server_that_leaves_at_any_byte_of_the_handshake_leaves_an_error_behind()
    {
        byte[][] parts = [Greeting(), Reply(OptionType.ExtendedHeaders, OptionReplyType.ErrorUnsupported), Reply(OptionType.StructuredReply, OptionReplyType.ErrorUnsupported)];
        for (int part = 0; part < parts.Length; part++)
        {
            for (int length = 0; length < parts[part].Length; length++)
            {
                var server = new ScriptedServer();
                for (int i = 0; i < part; i++) server.Say(i == 0 ? 0 : i + 1, parts[i]);
                server.Say(part == 0 ? 0 : part + 1, parts[part][..length]);
                Assert.Throws<BlockException>(() => NbdClientConnection.Negotiate(server, s_options, _ => { }));
            }
        }
    }

    private static ScriptedServer Session(ScriptedServer server) => server.Handshake()
        .Say(6, [.. Chunk(1, ChunkType.OffsetHole, false, [.. Big(4UL), .. Big(3U)]), .. Chunk(1, ChunkType.OffsetData, false, [.. Big(0UL), 1, 2, 3, 4]), .. Chunk(1, ChunkType.None, true)])
        .Say(7, Simple(2, NbdError.None))
        .Say(8, Chunk(3, ChunkType.BlockStatus, true, [.. Big(7U), .. Big(512U), .. Big(3U)]))
        .Say(9, Chunk(4, ChunkType.Error, true, [.. Big((uint)NbdError.NoSpace), 0, 4, .. "full"u8]));

    private static async Task PlayAsync(ScriptedServer server)
    {
        NbdClientConnection connection = NbdClientConnection.Negotiate(server, s_options, _ => { });
        var request = new ClientRequest();
        var read = new byte[7];
        request.Set(CommandType.Read, CommandFlags.None, 0, 7, read);
        Assert.True(await connection.SendAsync(request));
        Assert.Equal([1, 2, 3, 4, 0, 0, 0], read);
        request.Set(CommandType.Flush, CommandFlags.None, 0, 0);
        Assert.True(await connection.SendAsync(request));
        request.Set(CommandType.BlockStatus, CommandFlags.RequestOne, 0, 512);
        Assert.True(await connection.SendAsync(request));
        Assert.Equal((512UL, 3UL), request.Extent);
        request.Set(CommandType.Write, CommandFlags.None, 0, 3, data: new byte[3]);
        Assert.True(await connection.SendAsync(request));
        Assert.Equal(NbdError.NoSpace, request.Error);
        connection.Close();
    }
}
