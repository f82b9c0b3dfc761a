using System.Buffers.Binary;
using System.Diagnostics;
using System.Text;
using Varve.Nbd.Transport;
using Varve.Nbd.Wire;

namespace Varve.Nbd.Client;

/// <content>Options and replies as bytes, and the list of exports.</content>
internal sealed partial class ClientHandshake
{
    private const int MaxErrorText = 4096, MaxReplies = 65536;
    private const long MaxListBytes = 32 << 20;

    /// <summary>Asks for every export and what the server says about it (<c>qemu-nbd --list</c>).</summary>
    public List<ExportDetails> ListDetails()
    {
        if (!Greet()) return [BeginOldstyle()];
        if (!_isFixed) throw Failure("Server does not support export lists");
        NegotiateForm();
        var all = new List<ExportDetails>();
        foreach ((string name, string description) in List(isStrict: true) ?? [])
        {
            ExportDetails details = Describe(OptionType.Info, name, isStrict: false) ?? new ExportDetails(name) { Form = Form };
            if (details.Description is null && description.Length > 0) details = details with { Description = description };
            all.Add(details with { Contexts = Form == HeaderForm.Simple ? [] : ListContexts(name) });
        }

        Abort();
        return all;
    }

    /// <summary>The exports' names and descriptions; null where the server does not tell.</summary>
    private List<(string Name, string Description)>? List(bool isStrict)
    {
        SendOption(OptionType.List, []);
        var exports = new List<(string, string)>();
        bool isRefused = false;
        long bytes = 0;
        while (NextReply(OptionType.List, OptionReplyType.Server, isStrict, () => isRefused = true) is { } reply)
        {
            if (reply.Length < 4) throw Failure($"incorrect option name length {reply.Length}");
            uint length = BinaryPrimitives.ReadUInt32BigEndian(reply.Span);
            if (length > (uint)reply.Length - 4 || length > NbdLimits.MaxString) throw Failure($"incorrect name size in server's response: {length}");
            bytes += reply.Length;
            if (bytes > MaxListBytes) throw Failure($"The server's list is longer than {MaxListBytes} bytes");
            exports.Add((TextOf(reply.Span.Slice(4, (int)length)), TextOf(reply.Span[(4 + (int)length)..])));
        }

        return isRefused ? null : exports;
    }

    private List<string> ListContexts(string export)
    {
        const OptionType option = OptionType.ListMetaContext;
        SendOption(option, OptionDataWriter.Contexts(export));
        var names = new List<string>();
        while (NextReply(option, OptionReplyType.MetaContext, isStrict: false) is { } reply)
        {
            if (reply.Length < 4) throw Failure($"Failed to list meta contexts, server answered with unexpected length {reply.Length}");
            names.Add(TextOf(reply.Span[4..]));
        }

        return names;
    }

    // ---- Options and replies

    /// <summary>Asks for something that is answered yes or no.</summary>
    private bool AskSimple(OptionType option, bool isStrict)
    {
        SendOption(option, []);
        OptionReplyHeader reply = ReceiveReplyHeader(option);
        if (IsRefusal(option, reply, isStrict)) return false;
        if (reply.Type != OptionReplyType.Ack) throw UnexpectedType(reply.Type, OptionReplyType.Ack);
        return reply.Length == 0
            ? true
            : throw Failure($"Option {(uint)option} ('{OptionNames.Of(option)}') response length is {reply.Length} (it should be zero)");
    }

    /// <summary>The data of the next reply of a kind; null after the last one, or when the server refuses and that is allowed.</summary>
    private ReadOnlyMemory<byte>? NextReply(OptionType option, OptionReplyType expected, bool isStrict, Action? onRefused = null)
    {
        if (++_replies > MaxReplies) throw Failure($"The server answers option {(uint)option} ({OptionNames.Of(option)}) without end");
        OptionReplyHeader reply = ReceiveReplyHeader(option);
        if (IsRefusal(option, reply, isStrict))
        {
            onRefused?.Invoke();
            return null;
        }

        if (reply.Type == OptionReplyType.Ack)
        {
            return reply.Length == 0 ? null : throw Failure($"server sent invalid NBD_REP_ACK");
        }

        if (reply.Type != expected) throw UnexpectedType(reply.Type, expected);
        if (reply.Length > NbdLimits.MaxOptionData) throw Failure($"option reply of {reply.Length} bytes is too long");
        return Receive((int)reply.Length, "option reply").ToArray();
    }

    private int _replies;

    private static BlockException UnexpectedType(OptionReplyType type, OptionReplyType expected)
        => Failure($"unexpected reply type {(uint)type} ({OptionNames.Of(type)}), expected {(uint)expected} ({OptionNames.Of(expected)})");

    private OptionReplyHeader ReceiveReplyHeader(OptionType option)
    {
        if (!OptionReplyHeader.TryRead(Receive(OptionReplyHeader.Size, "option reply"), out OptionReplyHeader reply))
        {
            throw Failure("Unexpected option reply magic");
        }

        return reply.Option == option
            ? reply
            : throw Failure(
                $"Unexpected option type {(uint)reply.Option} ({OptionNames.Of(reply.Option)}), expected {(uint)option} ({OptionNames.Of(option)})");
    }

    /// <summary>Whether the reply is an error that the client can live with; throws for one it cannot.</summary>
    private bool IsRefusal(OptionType option, in OptionReplyHeader reply, bool isStrict)
    {
        if ((reply.Type & OptionReplyType.Error) == 0) return false;
        if (reply.Length > MaxErrorText) throw Failure($"server error {(uint)reply.Type} ({OptionNames.Of(reply.Type)}) message is too long");
        string text = TextOf(Receive((int)reply.Length, "option error"));
        if (reply.Type == OptionReplyType.ErrorUnsupported || !isStrict) return true;

        string asked = $"option {(uint)option} ({OptionNames.Of(option)})";
        string message = reply.Type switch
        {
            OptionReplyType.ErrorPolicy => $"Denied by server for {asked}",
            OptionReplyType.ErrorInvalid => $"Invalid parameters for {asked}",
            OptionReplyType.ErrorPlatform => $"Server lacks support for {asked}",
            OptionReplyType.ErrorTlsRequired => $"TLS negotiation required before {asked}",
            OptionReplyType.ErrorUnknown => "Requested export not available",
            OptionReplyType.ErrorShutdown => $"Server shutting down before {asked}",
            OptionReplyType.ErrorBlockSizeRequired => $"Server requires INFO_BLOCK_SIZE for {asked}",
            _ => $"Unknown error code when asking for {asked}",
        };
        string hint = reply.Type == OptionReplyType.ErrorTlsRequired ? "Did you forget a valid tls-creds?\n" : "";
        if (text.Length > 0) hint += $"server reported: {text}\n";
        Abort();
        throw new BlockException(BlockErrorKind.Invalid, message) { Hint = hint.Length == 0 ? null : hint.TrimEnd('\n') };
    }

    private void SendOption(OptionType option, ReadOnlySpan<byte> data)
    {
        var wire = new byte[OptionHeader.Size + data.Length];
        new OptionHeader(option, (uint)data.Length).WriteTo(wire);
        data.CopyTo(wire.AsSpan(OptionHeader.Size));
        try
        {
            Send(wire);
        }
        catch (IOException e) when (e is not BlockException)
        {
            throw new BlockException(BlockErrorKind.Io, $"Failed to send option request header: {e.Message}", e);
        }
    }

    /// <summary>A server's text, for people: what is no UTF-8 is replaced, control characters do not reach a terminal.</summary>
    private static string TextOf(ReadOnlySpan<byte> bytes)
    {
        string text = Encoding.UTF8.GetString(bytes[..Math.Min(bytes.Length, NbdLimits.MaxString)]);
        return text.Any(char.IsControl) ? string.Concat(text.Select(c => char.IsControl(c) ? '?' : c)) : text;
    }

    // ---- Bytes and time

    private ReadOnlySpan<byte> Receive(int length, string what)
    {
        try
        {
            if (!Fill(length)) throw Failure($"Failed to read {what}: {EndOfFile}");
        }
        catch (IOException e) when (e is not BlockException)
        {
            throw new BlockException(BlockErrorKind.Io, $"Failed to read {what}: {e.Message}", e);
        }

        return Input.Take(length).Span;
    }

    private bool Fill(int length)
    {
        // One byte at a time, so that the time left is looked at between receives.
        while (Input.Available < length)
        {
            LimitTime();
            if (!Input.Fill(Math.Min(length, Input.Available + 1))) return false;
        }

        return true;
    }

    private void Send(ReadOnlySpan<byte> bytes)
    {
        LimitTime();
        Transport.Send(bytes);
    }

    private void LimitTime()
    {
        TimeSpan left = _options.HandshakeTimeout - Stopwatch.GetElapsedTime(_started);
        if (left <= TimeSpan.Zero) throw new IOException("The handshake took too long");
        Transport.SetTimeout(left);
    }
}
