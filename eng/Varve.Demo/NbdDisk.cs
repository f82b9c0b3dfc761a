using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;

namespace Varve.Demo;

/// <summary>The demo's guest: a plain NBD client, one request at a time, written against the protocol and nothing of ours.</summary>
internal sealed class NbdDisk : IDisposable
{
    private const uint RequestMagic = 0x2560_9513, ReplyMagic = 0x6744_6698;
    private const ulong OptionMagic = 0x4948_4156_454F_5054;   // "IHAVEOPT"
    private readonly Socket _socket;
    private ulong _cookie;

    private NbdDisk(Socket socket, long length)
    {
        _socket = socket;
        Length = length;
    }

    /// <summary>Bytes of the export.</summary>
    public long Length { get; }

    public static NbdDisk Connect(string socketPath, string export)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(socketPath));
        Span<byte> greeting = stackalloc byte[18];
        Receive(socket, greeting);

        byte[] name = Encoding.UTF8.GetBytes(export);
        byte[] hello = new byte[4 + 16 + name.Length];
        BinaryPrimitives.WriteUInt32BigEndian(hello, 3);                                 // fixed newstyle, no zeroes
        BinaryPrimitives.WriteUInt64BigEndian(hello.AsSpan(4), OptionMagic);
        BinaryPrimitives.WriteUInt32BigEndian(hello.AsSpan(12), 1);                      // NBD_OPT_EXPORT_NAME
        BinaryPrimitives.WriteUInt32BigEndian(hello.AsSpan(16), (uint)name.Length);
        name.CopyTo(hello, 20);
        socket.Send(hello);

        Span<byte> export10 = stackalloc byte[10];                                       // u64 size, u16 flags
        Receive(socket, export10);
        return new NbdDisk(socket, BinaryPrimitives.ReadInt64BigEndian(export10));
    }

    public void Read(long offset, Span<byte> buffer)
    {
        Request(type: 0, offset, buffer.Length, []);
        Receive(_socket, buffer);
    }

    public void Write(long offset, ReadOnlySpan<byte> data) => Request(type: 1, offset, data.Length, data);

    public void Flush() => Request(type: 3, 0, 0, []);

    public void Dispose() => _socket.Dispose();

    private void Request(ushort type, long offset, int length, ReadOnlySpan<byte> payload)
    {
        Span<byte> request = stackalloc byte[28];
        BinaryPrimitives.WriteUInt32BigEndian(request, RequestMagic);
        BinaryPrimitives.WriteUInt16BigEndian(request[4..], 0);
        BinaryPrimitives.WriteUInt16BigEndian(request[6..], type);
        BinaryPrimitives.WriteUInt64BigEndian(request[8..], ++_cookie);
        BinaryPrimitives.WriteInt64BigEndian(request[16..], offset);
        BinaryPrimitives.WriteInt32BigEndian(request[24..], length);
        _socket.Send(request);
        while (!payload.IsEmpty) payload = payload[_socket.Send(payload)..];

        Span<byte> reply = stackalloc byte[16];
        Receive(_socket, reply);
        uint error = BinaryPrimitives.ReadUInt32BigEndian(reply[4..]);
        if (BinaryPrimitives.ReadUInt32BigEndian(reply) != ReplyMagic || BinaryPrimitives.ReadUInt64BigEndian(reply[8..]) != _cookie)
        {
            throw new InvalidDataException("the server's reply does not belong to the request");
        }

        if (error != 0) throw new IOException($"the guest saw error {error} on request type {type} at {offset}");
    }

    private static void Receive(Socket socket, Span<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            int got = socket.Receive(buffer);
            if (got == 0) throw new EndOfStreamException("the server closed the connection");
            buffer = buffer[got..];
        }
    }
}
