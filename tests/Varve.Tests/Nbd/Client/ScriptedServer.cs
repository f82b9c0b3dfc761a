using System.Buffers.Binary;
using System.Text;
using Varve.Nbd.Transport;
using Varve.Nbd.Wire;

namespace Varve.Tests.Nbd.Client;

/// <summary>A server that says what the test wrote down, right or wrong: each part once the client has sent as often as the part before
/// expects. Where <see cref="PieceLength"/> says so, a receive brings only a few bytes.</summary>
internal sealed class ScriptedServer : NbdTransport
{
    private readonly object _gate = new();
    private readonly List<(int AfterSends, byte[] Bytes)> _parts = [];
    private int _part, _position, _sends;
    private bool _isShut;

    /// <summary>Bytes of one receive; 0: as many as there are.</summary>
    public int PieceLength { get; init; }

    /// <summary>A receive ends at this byte of the whole script, if at no other.</summary>
    public int SplitAt { get; init; } = -1;

    /// <summary>Whether the connection stays open after the script, until the client leaves.</summary>
    public bool StaysOpen { get; init; }

    /// <summary>Everything the client has sent.</summary>
    public List<byte[]> Sent { get; } = [];

    public int Length => _parts.Sum(p => p.Bytes.Length);

    /// <summary>Adds what is said once the client has sent <paramref name="afterSends"/> times.</summary>
    public ScriptedServer Say(int afterSends, params byte[] bytes)
    {
        _parts.Add((afterSends, bytes));
        return this;
    }

    /// <summary>The handshake of a server with chunked replies, block status and one export; the client has sent five times after it.</summary>
    public ScriptedServer Handshake(long size = 1 << 20, TransmissionFlags flags = TransmissionFlags.HasFlags | TransmissionFlags.SendFlush, bool structured = true)
        => Say(0, Greeting())
            .Say(2, Reply(OptionType.ExtendedHeaders, OptionReplyType.ErrorUnsupported))
            .Say(3, Reply(OptionType.StructuredReply, structured ? OptionReplyType.Ack : OptionReplyType.ErrorUnsupported))
            .Say(structured ? 4 : 3, structured
                ? [.. Reply(OptionType.SetMetaContext, OptionReplyType.MetaContext, [0, 0, 0, 7, .. "base:allocation"u8]), .. Reply(OptionType.SetMetaContext, OptionReplyType.Ack)]
                : [])
            .Say(structured ? 5 : 4, [.. Reply(OptionType.Go, OptionReplyType.Info, Export(size, flags)), .. Reply(OptionType.Go, OptionReplyType.Ack)]);

    public static byte[] Greeting()
    {
        var wire = new byte[Varve.Nbd.Wire.Greeting.Size];
        new Greeting(HandshakeFlags.FixedNewstyle | HandshakeFlags.NoZeroes).WriteTo(wire);
        return wire;
    }

    public static byte[] Reply(OptionType option, OptionReplyType type, params byte[] data)
    {
        var header = new byte[OptionReplyHeader.Size];
        new OptionReplyHeader(option, type, (uint)data.Length).WriteTo(header);
        return [.. header, .. data];
    }

    public static byte[] Export(long size, TransmissionFlags flags)
    {
        var info = new byte[ExportInfo.Size];
        new ExportInfo(size, flags).WriteTo(info);
        return info;
    }

    /// <summary>A chunk in reply to the client's <paramref name="request"/>th request, counted from 1, when it makes one at a time.</summary>
    public static byte[] Chunk(int request, ChunkType type, bool isLast, params byte[] payload)
    {
        var header = new byte[ChunkHeader.Size];
        new ChunkHeader(isLast ? ChunkFlags.Done : ChunkFlags.None, type, (ulong)request << 8, (ulong)payload.Length).WriteTo(header);
        return [.. header, .. payload];
    }

    public static byte[] Simple(int request, NbdError error, params byte[] data)
    {
        var header = new byte[SimpleReply.Size];
        new SimpleReply(error, (ulong)request << 8).WriteTo(header);
        return [.. header, .. data];
    }

    public static byte[] Big(ulong value)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        return bytes;
    }

    public static byte[] Big(uint value) => Big((ulong)value)[4..];

    public static byte[] Text(string text) => Encoding.UTF8.GetBytes(text);

    public override int Receive(Span<byte> buffer)
    {
        lock (_gate)
        {
            while (true)
            {
                if (_isShut) return 0;
                while (_part < _parts.Count && _position == _parts[_part].Bytes.Length) (_part, _position) = (_part + 1, 0);
                if (_part == _parts.Count && !StaysOpen) return 0;
                if (_part < _parts.Count && _sends >= _parts[_part].AfterSends) break;
                Monitor.Wait(_gate);
            }

            byte[] bytes = _parts[_part].Bytes;
            int before = _parts.Take(_part).Sum(p => p.Bytes.Length) + _position;
            int length = Math.Min(buffer.Length, bytes.Length - _position);
            if (PieceLength > 0) length = Math.Min(length, PieceLength);
            if (SplitAt > before) length = Math.Min(length, SplitAt - before);
            bytes.AsSpan(_position, length).CopyTo(buffer);
            _position += length;
            return length;
        }
    }

    public override void Send(ReadOnlySpan<byte> bytes)
    {
        lock (_gate)
        {
            if (_isShut) throw new IOException("shut");
            Sent.Add(bytes.ToArray());
            _sends++;
            Monitor.PulseAll(_gate);
        }
    }

    public override int TrySend(ReadOnlySpan<byte> bytes)
    {
        Send(bytes);
        return bytes.Length;
    }

    public override void SetTimeout(TimeSpan timeout) { }

    public override void Shutdown()
    {
        lock (_gate)
        {
            _isShut = true;
            Monitor.PulseAll(_gate);
        }
    }

    public override void Dispose() => Shutdown();
}
