using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;

namespace Varve.Compatibility.Support;

/// <summary>An NBD client that writes random blocks and flushes now and then, and remembers what each flush has promised.</summary>
/// <remarks>Not our client code and not our wire types: what it speaks is written here from the protocol's text.</remarks>
internal sealed class FlushingWriter
{
    private const int Block = 4096;
    private readonly Dictionary<long, List<byte>> _written = [];   // block -> tags since (and including) the last flushed one
    private readonly long _size;

    public FlushingWriter(string socketPath, string export, long size, int seed)
    {
        _size = size;
        Ended = Task.Run(() => Run(socketPath, export, seed));
    }

    /// <summary>Ends when the server has gone.</summary>
    public Task Ended { get; }

    /// <summary>Checks, with the reference reading the image, that each block holds the last flushed content or a later one.</summary>
    public async Task AssertFlushedWritesAsync(string image, int seed)
    {
        string raw = image + ".after-kill";
        (await Tool.QemuImg.RunAsync("convert", "-f", "qcow2", "-O", "raw", image, raw)).Succeeded.ToString();
        byte[] content = await File.ReadAllBytesAsync(raw);
        File.Delete(raw);
        Assert.Equal(_size, content.Length);
        foreach ((long block, List<byte> tags) in _written)
        {
            ReadOnlySpan<byte> got = content.AsSpan((int)(block * Block), Block);
            bool whole = got.IndexOfAnyExcept(got[0]) < 0;
            bool known = tags.Contains(got[0]) || tags[0] == 0;   // 0: never flushed, so what lay there before may still be there
            Assert.True(tags[0] == 0 || (whole && known),
                $"seed {seed}: block {block} holds 0x{got[0]:x2}; flushed 0x{tags[0]:x2}, later {string.Join(' ', tags.Skip(1).Select(t => $"0x{t:x2}"))}");
        }
    }

    private void Run(string socketPath, string export, int seed)
    {
        var random = new Random(seed);
        try
        {
            using Socket socket = Connect(socketPath, export);
            byte[] data = new byte[Block];
            for (int n = 1; ; n++)
            {
                long block = random.NextInt64(_size / Block);
                byte tag = (byte)random.Next(0x80, 0x100);
                data.AsSpan().Fill(tag);
                if (!_written.TryGetValue(block, out List<byte>? tags)) _written[block] = tags = [0];
                tags.Add(tag);
                Request(socket, type: 1, block * Block, data);
                if (n % 16 != 0) continue;
                Request(socket, type: 3, 0, []);
                foreach (List<byte> flushed in _written.Values) flushed.RemoveRange(0, flushed.Count - 1);
            }
        }
        catch (Exception e) when (e is SocketException or EndOfStreamException)
        {
            // The server was killed: that is how a run ends.
        }
    }

    private static Socket Connect(string path, string export)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(path));
        Receive(socket, new byte[18]);                                       // NBDMAGIC, IHAVEOPT, flags
        byte[] name = Encoding.UTF8.GetBytes(export), hello = new byte[20 + name.Length];
        BinaryPrimitives.WriteUInt32BigEndian(hello, 3);                     // fixed newstyle, no zeroes
        "IHAVEOPT"u8.CopyTo(hello.AsSpan(4));
        BinaryPrimitives.WriteUInt32BigEndian(hello.AsSpan(12), 1);          // NBD_OPT_EXPORT_NAME
        BinaryPrimitives.WriteInt32BigEndian(hello.AsSpan(16), name.Length);
        name.CopyTo(hello, 20);
        socket.Send(hello);
        Receive(socket, new byte[10]);                                       // size, flags
        return socket;
    }

    private static void Request(Socket socket, ushort type, long offset, ReadOnlySpan<byte> payload)
    {
        byte[] message = new byte[28 + payload.Length];
        BinaryPrimitives.WriteUInt32BigEndian(message, 0x2560_9513);
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(6), type);
        BinaryPrimitives.WriteInt64BigEndian(message.AsSpan(16), offset);
        BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(24), payload.Length);
        payload.CopyTo(message.AsSpan(28));
        socket.Send(message);
        byte[] reply = new byte[16];
        Receive(socket, reply);
        uint error = BinaryPrimitives.ReadUInt32BigEndian(reply.AsSpan(4));
        if (error != 0) throw new InvalidOperationException($"the client saw error {error} on request type {type} at {offset}");
    }

    private static void Receive(Socket socket, byte[] buffer)
    {
        for (int got = 0; got < buffer.Length;)
        {
            int piece = socket.Receive(buffer, got, buffer.Length - got, SocketFlags.None);
            if (piece == 0) throw new EndOfStreamException();
            got += piece;
        }
    }
}
