using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using Varve.Nbd.Wire;

namespace Varve.Tests.Nbd;

/// <summary>A client that sends what the test says, right or wrong, and reads what comes.</summary>
internal sealed class NbdTestClient(Socket socket) : IDisposable
{
    private readonly NetworkStream _stream = new(socket, ownsSocket: true) { ReadTimeout = 20_000 };

    public Socket Socket => socket;

    /// <summary>The export's size, once <see cref="GoAsync"/> or <see cref="ChooseByNameAsync"/> was answered.</summary>
    public long ExportSize { get; private set; }

    public TransmissionFlags Flags { get; private set; }

    public static async Task<NbdTestClient> ConnectAsync(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
        return new NbdTestClient(socket);
    }

    // ---- Handshake

    public async Task<NbdTestClient> GreetAsync(ClientFlags flags = ClientFlags.All)
    {
        Assert.True(Greeting.TryRead(await ReadAsync(Greeting.Size), out _));
        await SendAsync(Big((uint)flags));
        return this;
    }

    public async Task SendOptionAsync(OptionType option, byte[] data, uint? claimedLength = null)
    {
        var header = new byte[OptionHeader.Size];
        new OptionHeader(option, claimedLength ?? (uint)data.Length).WriteTo(header);
        await SendAsync([.. header, .. data]);
    }

    /// <summary>Reads replies to an option up to the final one.</summary>
    public async Task<List<(OptionReplyType Type, byte[] Data)>> ReadRepliesAsync(OptionType option)
    {
        var replies = new List<(OptionReplyType, byte[])>();
        while (true)
        {
            Assert.True(OptionReplyHeader.TryRead(await ReadAsync(OptionReplyHeader.Size), out OptionReplyHeader header));
            Assert.Equal(option, header.Option);
            replies.Add((header.Type, await ReadAsync((int)header.Length)));
            if (header.Type == OptionReplyType.Ack || (header.Type & OptionReplyType.Error) != 0) return replies;
        }
    }

    public async Task<List<(OptionReplyType Type, byte[] Data)>> OptionAsync(OptionType option, params byte[] data)
    {
        await SendOptionAsync(option, data);
        return await ReadRepliesAsync(option);
    }

    public static byte[] InfoData(string export, params InfoType[] wanted)
    {
        byte[] name = Encoding.UTF8.GetBytes(export);
        return [.. Big((uint)name.Length), .. name, .. Big16((ushort)wanted.Length), .. wanted.SelectMany(w => Big16((ushort)w))];
    }

    public static byte[] ContextData(string export, params string[] queries)
    {
        byte[] name = Encoding.UTF8.GetBytes(export);
        return [.. Big((uint)name.Length), .. name, .. Big((uint)queries.Length),
            .. queries.Select(Encoding.UTF8.GetBytes).SelectMany(q => (byte[])[.. Big((uint)q.Length), .. q])];
    }

    /// <summary>The whole handshake, with GO.</summary>
    public async Task<NbdTestClient> GoAsync(string export = "disk", bool structured = true, params string[] contexts)
    {
        await GreetAsync();
        if (structured) Assert.Equal(OptionReplyType.Ack, (await OptionAsync(OptionType.StructuredReply))[^1].Type);
        if (contexts.Length > 0) Assert.Equal(OptionReplyType.Ack, (await OptionAsync(OptionType.SetMetaContext, ContextData(export, contexts)))[^1].Type);
        List<(OptionReplyType Type, byte[] Data)> replies = await OptionAsync(OptionType.Go, InfoData(export));
        Assert.Equal(OptionReplyType.Ack, replies[^1].Type);
        ExportInfo info = ExportInfo.Read(replies.Single(r => r.Data.Length == ExportInfo.Size).Data);
        (ExportSize, Flags) = (info.ExportSize, info.Flags);
        return this;
    }

    /// <summary>The end of an old client's handshake.</summary>
    public async Task ChooseByNameAsync(string export, bool padding)
    {
        await SendOptionAsync(OptionType.ExportName, Encoding.UTF8.GetBytes(export));
        ExportNameReply reply = ExportNameReply.Read(await ReadAsync(ExportNameReply.Size + (padding ? ExportNameReply.Padding : 0)));
        (ExportSize, Flags) = (reply.ExportSize, reply.Flags);
    }

    // ---- Transmission

    public static byte[] Request(CommandType command, ulong cookie, long offset = 0, uint length = 0, CommandFlags flags = CommandFlags.None)
    {
        var wire = new byte[RequestHeader.Size];
        new RequestHeader(command, flags, cookie, (ulong)offset, length).WriteTo(wire);
        return wire;
    }

    /// <summary>Sends a request, and reads its simple reply.</summary>
    public async Task<NbdError> SimpleAsync(CommandType command, long offset = 0, uint length = 0, CommandFlags flags = CommandFlags.None, byte[]? data = null)
    {
        await SendAsync([.. Request(command, 77, offset, length, flags), .. data ?? []]);
        (NbdError error, ulong cookie) = await ReadSimpleReplyAsync();
        Assert.Equal(77UL, cookie);
        return error;
    }

    public async Task<(NbdError Error, ulong Cookie)> ReadSimpleReplyAsync()
    {
        Assert.True(SimpleReply.TryRead(await ReadAsync(SimpleReply.Size), out SimpleReply reply));
        return (reply.Error, reply.Cookie);
    }

    public async Task<(ChunkHeader Header, byte[] Payload)> ReadChunkAsync()
    {
        Assert.True(ChunkHeader.TryRead(await ReadAsync(ChunkHeader.Size), out ChunkHeader header));
        return (header, await ReadAsync((int)header.Length));
    }

    /// <summary>Sends a request, and reads its reply, a chunk or a simple one.</summary>
    /// <returns>The error, and the payload of the last chunk, empty for a simple reply.</returns>
    public async Task<(NbdError Error, byte[] Payload)> StructuredAsync(
        CommandType command, long offset = 0, uint length = 0, CommandFlags flags = CommandFlags.None, byte[]? data = null)
    {
        await SendAsync([.. Request(command, 78, offset, length, flags), .. data ?? []]);
        byte[] first = await ReadAsync(SimpleReply.Size);
        if (SimpleReply.TryRead(first, out SimpleReply simple)) return (simple.Error, []);
        Assert.True(ChunkHeader.TryRead([.. first, .. await ReadAsync(ChunkHeader.Size - SimpleReply.Size)], out ChunkHeader header));
        byte[] payload = await ReadAsync((int)header.Length);
        while ((header.Flags & ChunkFlags.Done) == 0) (header, payload) = await ReadChunkAsync();
        return header.Type == ChunkType.Error ? ((NbdError)BinaryPrimitives.ReadUInt32BigEndian(payload), payload[6..]) : (NbdError.None, payload);
    }

    // ---- Bytes

    public ValueTask SendAsync(byte[] bytes) => _stream.WriteAsync(bytes, TestContext.Current.CancellationToken);

    public async Task<byte[]> ReadAsync(int length)
    {
        var bytes = new byte[length];
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        await _stream.ReadExactlyAsync(bytes, limit.Token);
        return bytes;
    }

    /// <summary>Whether the server ends the connection, without another byte.</summary>
    public async Task<bool> IsDroppedAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        try
        {
            return await _stream.ReadAsync(new byte[1], limit.Token) == 0;
        }
        catch (IOException)
        {
            return true;   // reset, because the server had not read everything
        }
    }

    public void Dispose() => _stream.Dispose();

    private static byte[] Big(uint value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }

    private static byte[] Big16(ushort value) => [(byte)(value >> 8), (byte)value];
}
