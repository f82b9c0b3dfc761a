using System.Buffers.Binary;
using System.Net.Sockets;

namespace Varve.Benchmarks;

/// <summary>A blocking client that allocates nothing for a request, so that what is measured is the server's.</summary>
internal sealed class RawNbdClient : IAsyncDisposable
{
    private const int RequestSize = 28, ReplySize = 16;
    private const ushort WriteCommand = 1;

    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly byte[] _send, _receive;
    private readonly int _depth, _block;

    /// <param name="socket">The server's.</param>
    /// <param name="depth">Requests in flight.</param>
    /// <param name="block">Bytes of each.</param>
    public RawNbdClient(string socket, int depth, int block)
    {
        (_depth, _block) = (depth, block);
        _send = new byte[depth * (RequestSize + block)];
        _receive = new byte[depth * (ReplySize + block)];
        _socket.Connect(new UnixDomainSocketEndPoint(socket));
        ChooseExport();
    }

    /// <summary>Sends as many requests as may be in flight, and takes their replies.</summary>
    /// <param name="command">0 to read, 1 to write: NBD specification, "Request types".</param>
    /// <param name="offsetOf">Where each begins.</param>
    public void Run(ushort command, Func<int, long> offsetOf)
    {
        (int sent, int received) = command == WriteCommand ? (_block, 0) : (0, _block);
        for (int i = 0; i < _depth; i++)
        {
            Span<byte> request = _send.AsSpan(i * (RequestSize + sent), RequestSize);
            BinaryPrimitives.WriteUInt32BigEndian(request, 0x2560_9513);
            BinaryPrimitives.WriteUInt16BigEndian(request[6..], command);
            BinaryPrimitives.WriteInt64BigEndian(request[8..], i);
            BinaryPrimitives.WriteInt64BigEndian(request[16..], offsetOf(i));
            BinaryPrimitives.WriteInt32BigEndian(request[24..], _block);
        }

        _socket.Send(_send.AsSpan(0, _depth * (RequestSize + sent)));
        Receive(_depth * (ReplySize + received));
        if (BinaryPrimitives.ReadUInt32BigEndian(_receive.AsSpan(4)) != 0) throw new InvalidOperationException("The server answers with an error");
    }

    public ValueTask DisposeAsync()
    {
        _socket.Dispose();
        return default;
    }

    /// <summary>The oldest way in: the export's name, answered by size and flags; simple replies from then on. NBD specification, "Newstyle
    /// negotiation".</summary>
    private void ChooseExport()
    {
        Receive(18);
        Span<byte> choice = stackalloc byte[4 + 16];
        BinaryPrimitives.WriteUInt32BigEndian(choice, 0b11);                         // fixed newstyle, no zeroes
        BinaryPrimitives.WriteUInt64BigEndian(choice[4..], 0x4948_4156_454F_5054);   // IHAVEOPT
        BinaryPrimitives.WriteUInt32BigEndian(choice[12..], 1);                      // NBD_OPT_EXPORT_NAME
        BinaryPrimitives.WriteUInt32BigEndian(choice[16..], 0);                      // of no length: the only export
        _socket.Send(choice);
        Receive(10);
    }

    private void Receive(int length)
    {
        for (int done = 0; done < length;)
        {
            int count = _socket.Receive(_receive.AsSpan(done, length - done));
            if (count == 0) throw new EndOfStreamException("The server has closed the connection");
            done += count;
        }
    }
}
