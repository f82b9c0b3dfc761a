using System.Buffers.Binary;
using System.Text;
using Varve.Bitmaps;
using Varve.Nbd.Server;
using Varve.Nbd.Wire;

namespace Varve.Tests.Nbd;

public class CommandTests
{
    [Theory]
    [InlineData(1, true)]
    [InlineData(4096, true)]
    [InlineData(65536, true)]
    [InlineData(65537, true)]
    [InlineData(3 << 20, true)]
    [InlineData(1, false)]
    [InlineData(4096, false)]
    [InlineData(3 << 20, false)]
    public async Task What_was_written_is_read(int length, bool structured)
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(size: 4 << 20);
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync(structured: structured);
        byte[] data = new byte[length];
        new Random(length).NextBytes(data);
        data[0] |= 1;

        Assert.Equal(NbdError.None, await client.SimpleAsync(CommandType.Write, 12345, (uint)length, data: data));
        Assert.Equal(data, server.Memory.Bytes.ToArray().AsSpan(12345, length));
        await client.SendAsync(NbdTestClient.Request(CommandType.Read, 5, 12345, (uint)length));
        if (structured)
        {
            (ChunkHeader header, byte[] payload) = await client.ReadChunkAsync();
            Assert.Equal(new ChunkHeader(ChunkFlags.Done, ChunkType.OffsetData, 5, (uint)length + 8), header);
            Assert.Equal(12345, BinaryPrimitives.ReadInt64BigEndian(payload));
            Assert.Equal(data, payload[8..]);
        }
        else
        {
            Assert.Equal((NbdError.None, 5UL), await client.ReadSimpleReplyAsync());
            Assert.Equal(data, await client.ReadAsync(length));
        }
    }

    [Fact]
    public async Task Zeros_are_told_as_a_hole_unless_the_client_wants_one_piece_of_data()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync();

        await client.SendAsync(NbdTestClient.Request(CommandType.Read, 5, 8192, 4096));
        (ChunkHeader header, byte[] payload) = await client.ReadChunkAsync();
        Assert.Equal((ChunkType.OffsetHole, ChunkFlags.Done, "000000000000200000001000"), (header.Type, header.Flags, Convert.ToHexString(payload)));

        await client.SendAsync(NbdTestClient.Request(CommandType.Read, 5, 8192, 4096, CommandFlags.DontFragment));
        (header, payload) = await client.ReadChunkAsync();
        Assert.Equal((ChunkType.OffsetData, 4104), (header.Type, payload.Length));
    }

    [Fact]
    public async Task A_batch_is_answered_in_order_when_everything_hits()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync();
        var batch = new List<byte>();
        for (ulong i = 0; i < 100; i++)
        {
            batch.AddRange(NbdTestClient.Request(CommandType.Write, i, (long)i * 4096, 4096));
            batch.AddRange(Enumerable.Repeat((byte)(i + 1), 4096));
        }

        await client.SendAsync([.. batch]);
        for (ulong i = 0; i < 100; i++) Assert.Equal((NbdError.None, i), await client.ReadSimpleReplyAsync());
        byte[] bytes = server.Memory.Bytes.ToArray();
        for (int i = 0; i < 100; i++) Assert.Equal(i + 1, bytes[(i * 4096) + 4095]);
    }

    [Theory]
    [InlineData(CommandType.Read, (1 << 20) - 10, 20u, CommandFlags.None, NbdError.Invalid)]
    [InlineData(CommandType.Read, -1, 20u, CommandFlags.None, NbdError.Invalid)]              // on the wire: 2^64 - 1
    [InlineData(CommandType.Read, long.MaxValue, 20u, CommandFlags.None, NbdError.Invalid)]
    [InlineData(CommandType.Read, 0, 0xFFFF_FFFFu, CommandFlags.None, NbdError.Invalid)]
    [InlineData(CommandType.Read, 0, (32u << 20) + 1, CommandFlags.None, NbdError.Invalid)]
    [InlineData(CommandType.Read, 0, 512u, CommandFlags.NoHole, NbdError.Invalid)]
    [InlineData(CommandType.Read, 0, 512u, (CommandFlags)0x8000, NbdError.Invalid)]
    [InlineData(CommandType.Trim, 1 << 20, 512u, CommandFlags.None, NbdError.Invalid)]
    [InlineData(CommandType.WriteZeroes, 1 << 20, 512u, CommandFlags.None, NbdError.NoSpace)]
    [InlineData(CommandType.WriteZeroes, 0, 512u, CommandFlags.RequestOne, NbdError.Invalid)]
    [InlineData(CommandType.Cache, 0, (32u << 20) + 1, CommandFlags.None, NbdError.Invalid)]
    [InlineData(CommandType.BlockStatus, 0, 512u, CommandFlags.None, NbdError.Invalid)]       // no context selected
    [InlineData((CommandType)4711, 0, 512u, CommandFlags.None, NbdError.Invalid)]
    [InlineData(CommandType.Read, 0, 512u, CommandFlags.Fua, NbdError.None)]                  // clients do that; it means nothing
    [InlineData(CommandType.Flush, 0, 0u, CommandFlags.Fua, NbdError.None)]
    public async Task What_a_request_must_not_ask_is_refused_and_the_next_one_served(
        object command, long offset, uint length, object flags, object error)
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync();
        Assert.Equal(error, (await client.StructuredAsync((CommandType)command, offset, length, (CommandFlags)flags)).Error);
        Assert.Equal(NbdError.None, (await client.StructuredAsync(CommandType.Flush)).Error);
    }

    [Fact]
    public async Task A_write_past_the_end_fails_with_ENOSPC_and_its_data_is_skipped()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync(structured: false);
        Assert.Equal(NbdError.NoSpace, await client.SimpleAsync(CommandType.Write, (1 << 20) - 1, 4096, data: new byte[4096]));
        Assert.Equal(NbdError.None, await client.SimpleAsync(CommandType.Flush));
    }

    [Fact]
    public async Task A_write_over_32_MiB_is_refused_and_its_data_is_skipped()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync(structured: false);
        uint length = (32 << 20) + 1;
        Assert.Equal(NbdError.Invalid, await client.SimpleAsync(CommandType.Write, 0, length, data: new byte[length]));
        Assert.Equal(NbdError.None, await client.SimpleAsync(CommandType.Flush));
    }

    [Fact]
    public async Task Requests_of_no_bytes_succeed()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync();
        foreach (CommandType command in new[] { CommandType.Read, CommandType.Write, CommandType.Trim, CommandType.WriteZeroes, CommandType.Cache })
        {
            Assert.Equal(NbdError.None, (await client.StructuredAsync(command, 100)).Error);
        }
    }

    [Theory]
    [InlineData(CommandType.Write)]
    [InlineData(CommandType.WriteZeroes)]
    [InlineData(CommandType.Trim)]
    public async Task A_read_only_export_refuses_every_change_with_EPERM(object command)
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(export: o => o with { Writable = false });
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync();
        byte[] data = command is CommandType.Write ? new byte[512] : [];
        Assert.Equal(NbdError.PermissionDenied, (await client.StructuredAsync((CommandType)command, 0, 512, data: data)).Error);
        Assert.Equal(NbdError.None, (await client.StructuredAsync(CommandType.Flush)).Error);
        Assert.Equal(NbdError.None, (await client.StructuredAsync(CommandType.Read, 0, 512)).Error);
    }

    [Theory]
    [InlineData(CommandFlags.None, false, 0)]
    [InlineData(CommandFlags.Fua, false, 1)]
    [InlineData(CommandFlags.None, true, 1)]
    public async Task FUA_and_writethrough_make_a_write_durable_before_its_reply(object fua, bool writethrough, int flushes)
    {
        var flags = (CommandFlags)fua;
        await using NbdTestServer server = await NbdTestServer.StartAsync(export: o => o with { Writethrough = writethrough });
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync();
        await client.StructuredAsync(CommandType.Write, 0, 4096, flags, new byte[4096]);
        Assert.Equal(flushes, server.Memory.Flushes);
        await client.StructuredAsync(CommandType.WriteZeroes, 0, 4096, flags);
        Assert.Equal(2 * flushes, server.Memory.Flushes);
        await client.StructuredAsync(CommandType.Trim, 0, 4096, flags);
        Assert.Equal(3 * flushes, server.Memory.Flushes);
    }

    [Fact]
    public async Task WRITE_ZEROES_makes_zeros_and_a_fast_one_fails_where_they_have_to_be_written()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync();
        await client.StructuredAsync(CommandType.Write, 0, 8192, data: [.. Enumerable.Repeat((byte)7, 8192)]);
        Assert.Equal(NbdError.NotSupported, (await client.StructuredAsync(CommandType.WriteZeroes, 0, 4096, CommandFlags.FastZero)).Error);
        Assert.Equal(7, server.Memory.Bytes.ToArray()[0]);
        Assert.Equal(NbdError.None, (await client.StructuredAsync(CommandType.WriteZeroes, 0, 4096, CommandFlags.NoHole)).Error);
        Assert.Equal((0, 7), (server.Memory.Bytes.ToArray()[4095], server.Memory.Bytes.ToArray()[4096]));
    }

    [Fact]
    public async Task A_failed_request_is_answered_with_its_errno_and_a_text()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync();
        server.Memory.OnRequest = (kind, _, _) => throw BlockException.FromErrno(kind == "write" ? Errno.ENOSPC : Errno.EIO);
        Assert.Equal(NbdError.NoSpace, (await client.StructuredAsync(CommandType.Write, 0, 4096, data: new byte[4096])).Error);
        Assert.Equal(NbdError.NoSpace, (await client.StructuredAsync(CommandType.Write, 0, 1 << 20, data: new byte[1 << 20])).Error);
        (NbdError error, byte[] text) = await client.StructuredAsync(CommandType.Read, 0, 4096);
        Assert.Equal((NbdError.InputOutput, "Input/output error"), (error, Encoding.UTF8.GetString(text)));
        Assert.Equal(NbdError.InputOutput, (await client.StructuredAsync(CommandType.Read, 0, 1 << 20)).Error);
        Assert.Equal(NbdError.InputOutput, (await client.StructuredAsync(CommandType.Flush)).Error);
        server.Memory.OnRequest = null;
        Assert.Equal(NbdError.None, (await client.StructuredAsync(CommandType.Flush)).Error);
    }

    [Theory]
    [InlineData(Errno.EROFS, NbdError.PermissionDenied)]
    [InlineData(Errno.EPERM, NbdError.PermissionDenied)]
    [InlineData(Errno.EIO, NbdError.InputOutput)]
    [InlineData(Errno.ENOMEM, NbdError.NoMemory)]
    [InlineData(Errno.EFBIG, NbdError.NoSpace)]
    [InlineData(Errno.EOVERFLOW, NbdError.Overflow)]
    [InlineData(Errno.EOPNOTSUPP, NbdError.NotSupported)]
    [InlineData(Errno.ESHUTDOWN, NbdError.Shutdown)]
    [InlineData(Errno.EINVAL, NbdError.Invalid)]
    [InlineData(Errno.ETIMEDOUT, NbdError.Invalid)]
    public void Errno_travels_as_one_of_the_protocols_errors(int errno, object error) => Assert.Equal((NbdError)error, NbdErrors.Of(errno));

    [Fact]
    public async Task BLOCK_STATUS_reports_every_selected_context()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(export: o => o with { AllocationDepth = true });
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync(contexts: ["base:allocation", "qemu:allocation-depth"]);
        await client.SendAsync(NbdTestClient.Request(CommandType.BlockStatus, 9, 4096, 65536, CommandFlags.RequestOne));
        (ChunkHeader first, byte[] allocation) = await client.ReadChunkAsync();
        (ChunkHeader second, byte[] depth) = await client.ReadChunkAsync();
        Assert.Equal((ChunkType.BlockStatus, ChunkFlags.None, "00000000" + "00010000" + "00000000"), (first.Type, first.Flags, Convert.ToHexString(allocation)));
        Assert.Equal((ChunkType.BlockStatus, ChunkFlags.Done, "00000001" + "00010000" + "00000001"), (second.Type, second.Flags, Convert.ToHexString(depth)));
        Assert.Equal(NbdError.Invalid, (await client.StructuredAsync(CommandType.BlockStatus, 1 << 20, 512)).Error);
        Assert.Equal(NbdError.Invalid, (await client.StructuredAsync(CommandType.BlockStatus, 0, 0)).Error);
    }

    [Fact]
    public async Task TCP_serves_as_unix_sockets_do()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await using NbdServer tcp = NbdServer.ListenTcp("127.0.0.1", 0);
        Assert.True(tcp.TryAddExport(server.Exports.Find("export")!));
        var socket = new System.Net.Sockets.Socket(System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Tcp);
        await socket.ConnectAsync(tcp.LocalEndPoint!, TestContext.Current.CancellationToken);
        using NbdTestClient client = await new NbdTestClient(socket).GoAsync();
        Assert.Equal(NbdError.None, (await client.StructuredAsync(CommandType.Write, 0, 4096, data: new byte[4096])).Error);
    }

    [Fact]
    public async Task A_bitmap_is_a_context_of_its_own()
    {
        DirtyBitmap? bitmap = null;
        await using NbdTestServer server = await NbdTestServer.StartAsync(export: plain =>
        {
            bitmap = new DirtyBitmap(1 << 20, 65536, "b") { IsEnabled = true };
            plain.Node.Bitmaps.Add(bitmap);
            return plain with { Bitmaps = [new ExportedBitmap("b")] };
        });
        Assert.True(bitmap!.IsBusy);
        bitmap.Mark(100_000, 1);
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync(contexts: ["qemu:dirty-bitmap:b"]);
        await client.SendAsync(NbdTestClient.Request(CommandType.BlockStatus, 9, 0, 1 << 20));
        (ChunkHeader _, byte[] extents) = await client.ReadChunkAsync();
        Assert.Equal("00000002" + "0001000000000000" + "0001000000000001" + "000E000000000000", Convert.ToHexString(extents));
    }
}
