using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics;
using System.Text;
using Varve.Nbd.Transport;
using Varve.Nbd.Wire;

namespace Varve.Nbd.Server;

/// <summary>Takes one client from connecting to transmission: fixed newstyle negotiation.</summary>
/// <remarks>Runs on the connection's thread; the time allowed is for the whole handshake, however slowly a client trickles.</remarks>
/// <param name="server">Where the exports are.</param>
/// <param name="connection">Attached to the export the client chooses.</param>
/// <param name="plain">The connection as it came, in the clear.</param>
/// <param name="attached">Told the export as soon as the connection is attached, so that whatever comes later detaches it.</param>
internal sealed class NbdHandshake(
    NbdServer server, NbdConnection connection, NbdTransport plain, Action<NbdExport> attached) : IDisposable
{
    /// <summary>Characters of a client's own text that are repeated in an error.</summary>
    private const int QuotedText = 80;

    private const string EndOfFile = "Unexpected end-of-file before all data were read";

    private readonly ArrayBufferWriter<byte> _output = new();
    private readonly long _started = Stopwatch.GetTimestamp();
    private ClientFlags _clientFlags;
    private HeaderForm _form;
    private (string Export, List<MetaContext> Selected)? _contexts;

    /// <summary>What the connection runs on now: another one than at the beginning, once it is encrypted.</summary>
    public NbdTransport Transport { get; private set; } = plain;

    /// <summary>What the client has sent; may hold more than the handshake.</summary>
    public ReceiveStream Input { get; private set; } = new(plain);

    /// <summary>Which rule the client broke, or that it left without a word; null where it left in good order.</summary>
    public string? Failure { get; private set; }

    /// <summary>Negotiates until the client has chosen an export.</summary>
    /// <returns>What was agreed on, the connection attached to the export; null when the client left or broke a rule.</returns>
    public NbdSession? Run()
    {
        try
        {
            return Negotiate();
        }
        catch (IOException e)
        {
            return Fail(e is BlockException ? e.Message : $"Failed to {_doing}: {e.Message}");
        }
    }

    public void Dispose() => Input.Dispose();

    private string _doing = "read flags";

    private NbdSession? Negotiate()
    {
        new Greeting(HandshakeFlags.FixedNewstyle | HandshakeFlags.NoZeroes).WriteTo(_output.GetSpan(Greeting.Size));
        _output.Advance(Greeting.Size);
        Send();
        if (!Fill(sizeof(uint))) return Fail($"Failed to read flags: {EndOfFile}");
        _clientFlags = (ClientFlags)BinaryPrimitives.ReadUInt32BigEndian(Input.Take(sizeof(uint)).Span);
        if ((_clientFlags & ~ClientFlags.All) != 0) return Fail($"Unknown client flags 0x{(uint)_clientFlags:x} received");

        while (true)
        {
            _doing = "read opts magic";
            if (!Fill(OptionHeader.Size)) return Fail($"Failed to read opts magic: {EndOfFile}");
            if (!OptionHeader.TryRead(Input.Take(OptionHeader.Size).Span, out OptionHeader header)) return Fail("Bad magic received");
            if (header.Length > NbdLimits.MaxOptionData)
            {
                if (header.Option == OptionType.ExportName || header.Length > NbdLimits.MaxPayload || !Skip(header.Length))
                {
                    return Fail($"len ({header.Length}) is larger than max len ({NbdLimits.MaxOptionData})");
                }

                Refuse(header.Option, OptionReplyType.ErrorTooBig, "option data too long");
                continue;
            }

            if (!Fill((int)header.Length)) return Fail($"Failed to read option data: {EndOfFile}");
            ReadOnlySpan<byte> data = Input.Take((int)header.Length).Span;
            if (header.Option == OptionType.ExportName) return ChooseByName(data);
            if (Answer(header.Option, data, out NbdSession? session)) return session;
        }
    }

    /// <summary>Answers one option; true when the handshake is over.</summary>
    private bool Answer(OptionType option, ReadOnlySpan<byte> data, out NbdSession? session)
    {
        session = null;
        if ((_clientFlags & ClientFlags.FixedNewstyle) == 0 && option != OptionType.Abort)
        {
            Fail($"Unsupported option 0x{(uint)option:x}");
            return true;   // such a client knows EXPORT_NAME only and could not read a reply
        }

        if (server.Options.Tls is not null && !_isEncrypted && option is not (OptionType.StartTls or OptionType.Abort))
        {
            Refuse(option, OptionReplyType.ErrorTlsRequired, $"Option 0x{(uint)option:x} not permitted before TLS");
            return false;
        }

        switch (option)
        {
            case OptionType.Abort:
                SayGoodbye();
                return true;
            case OptionType.List:
                List(data);
                return false;
            case OptionType.Info or OptionType.Go:
                return Describe(option, data, out session);
            case OptionType.StructuredReply:
                AgreeOnForm(option, data, HeaderForm.Structured, "structured reply");
                return false;
            case OptionType.ExtendedHeaders:
                AgreeOnForm(option, data, HeaderForm.Extended, "extended headers");
                return false;
            case OptionType.ListMetaContext or OptionType.SetMetaContext:
                ListOrSelectContexts(option, data);
                return false;
            case OptionType.StartTls:
                StartTls(data);
                return false;
            default:
                Refuse(option, OptionReplyType.ErrorUnsupported, $"Unsupported option {(uint)option}");
                return false;
        }
    }

    // ---- Options

    private void StartTls(ReadOnlySpan<byte> data)
    {
        const OptionType option = OptionType.StartTls;
        if (server.Options.Tls is not { } upgrade) Refuse(option, OptionReplyType.ErrorPolicy, "TLS not configured");
        else if (_isEncrypted) Refuse(option, OptionReplyType.ErrorInvalid, "TLS already enabled");
        else if (!data.IsEmpty) Refuse(option, OptionReplyType.ErrorInvalid, "option 'starttls' takes no data");
        else
        {
            Acknowledge(option);

            // What came in the clear behind the request may be anybody's, and must not count as said under encryption.
            if (Input.Available > 0) throw new BlockException(BlockErrorKind.Denied, "Client sent data before TLS was started");
            Transport = upgrade(Transport);
            Input.Dispose();
            Input = new ReceiveStream(Transport);
            _isEncrypted = true;
        }
    }

    private bool _isEncrypted;

    private NbdSession? ChooseByName(ReadOnlySpan<byte> data)
    {
        if (server.Options.Tls is not null && !_isEncrypted) return Fail("Option 0x1 not permitted before TLS");
        if (data.Length > NbdLimits.MaxString || !OptionDataReader.TryDecode(data, out string name)) return Fail("Bad export name received");
        if (server.FindExport(name) is not { } export || !TryAttach(export)) return Fail("export not found");
        NbdSession session = Begin(export);
        int padding = (_clientFlags & ClientFlags.NoZeroes) != 0 ? 0 : ExportNameReply.Padding;
        Span<byte> reply = _output.GetSpan(ExportNameReply.Size + padding)[..(ExportNameReply.Size + padding)];
        reply.Clear();
        new ExportNameReply(export.Backend.Length, FlagsOf(export)).WriteTo(reply);
        _output.Advance(reply.Length);
        Send();
        return session;
    }

    private void List(ReadOnlySpan<byte> data)
    {
        if (!data.IsEmpty)
        {
            Refuse(OptionType.List, OptionReplyType.ErrorInvalid, "option 'list' takes no data");
            return;
        }

        foreach (NbdExport export in server.ListExports())
        {
            byte[] name = Encoding.UTF8.GetBytes(export.Name), description = Encoding.UTF8.GetBytes(export.Description ?? "");
            Reply(OptionType.List, OptionReplyType.Server, [.. BigEndian((uint)name.Length), .. name, .. description]);
        }

        Acknowledge(OptionType.List);
    }

    private bool Describe(OptionType option, ReadOnlySpan<byte> data, out NbdSession? session)
    {
        session = null;
        if (!InfoRequest.TryRead(data, out InfoRequest request))
        {
            Refuse(option, OptionReplyType.ErrorInvalid, "option data is malformed");
            return false;
        }

        NbdExport? export = server.FindExport(request.Name);
        if (export is null || (option == OptionType.Go && !TryAttach(export)))
        {
            RefuseUnknownExport(option, request.Name);
            return false;
        }

        if (option == OptionType.Go) session = Begin(export);
        if (request.Wanted.Contains(InfoType.Name)) ReplyText(option, InfoType.Name, export.Name);
        if (export.Description is { } description && request.Wanted.Contains(InfoType.Description))
        {
            ReplyText(option, InfoType.Description, description);
        }

        Span<byte> info = stackalloc byte[BlockSizeInfo.Size];
        SizesOf(export, isAsked: request.Wanted.Contains(InfoType.BlockSize)).WriteTo(info);
        Reply(option, OptionReplyType.Info, info);
        new ExportInfo(export.Backend.Length, FlagsOf(export)).WriteTo(info);
        Reply(option, OptionReplyType.Info, info[..ExportInfo.Size]);
        Acknowledge(option);
        return option == OptionType.Go;
    }

    private void AgreeOnForm(OptionType option, ReadOnlySpan<byte> data, HeaderForm form, string name)
    {
        if (!data.IsEmpty) Refuse(option, OptionReplyType.ErrorInvalid, $"option '{name}' takes no data");
        else if (_form == form) Refuse(option, OptionReplyType.ErrorInvalid, $"{name} already negotiated");
        else if (_form > form) Refuse(option, OptionReplyType.ErrorExtendedHeadersRequired, "extended headers already negotiated");
        else
        {
            _form = form;
            Acknowledge(option);
        }
    }

    private void ListOrSelectContexts(OptionType option, ReadOnlySpan<byte> data)
    {
        bool isListing = option == OptionType.ListMetaContext;
        if (!isListing) _contexts = null;
        if (_form == HeaderForm.Simple)
        {
            Refuse(option, OptionReplyType.ErrorInvalid, "structured reply is not negotiated");
            return;
        }

        if (!MetaContextRequest.TryRead(data, out MetaContextRequest request))
        {
            Refuse(option, OptionReplyType.ErrorInvalid, "option data is malformed");
            return;
        }

        if (server.FindExport(request.Name) is not { } export)
        {
            RefuseUnknownExport(option, request.Name);
            return;
        }

        List<MetaContext> found = MetaContext.Find(export, request.Queries, isListing);
        foreach (MetaContext context in found)
        {
            Reply(option, OptionReplyType.MetaContext, [.. BigEndian(isListing ? 0 : context.Id), .. Encoding.UTF8.GetBytes(context.Name)]);
        }

        if (!isListing) _contexts = (request.Name, found);
        Acknowledge(option);
    }

    private void SayGoodbye()
    {
        try
        {
            Acknowledge(OptionType.Abort);
            Transport.SayGoodbye();
        }
        catch (IOException)
        {
            // It need not have waited for the answer.
        }
    }

    private NbdSession? Fail(string reason)
    {
        Failure = reason;
        return null;
    }

    // ---- What is agreed on

    private bool TryAttach(NbdExport export)
    {
        if (!export.TryAttach(connection)) return false;
        attached(export);
        return true;
    }

    /// <summary>Contexts count only for the export they were selected for.</summary>
    private NbdSession Begin(NbdExport export)
        => new(export, _form, _contexts is { } contexts && contexts.Export == export.Name ? contexts.Selected : []);

    private TransmissionFlags FlagsOf(NbdExport export) => export.GetTransmissionFlags(server.AllowsMultiConn, _form);

    /// <summary>Any alignment is served; what suits the node best is told to those who ask.</summary>
    private static BlockSizeInfo SizesOf(NbdExport export, bool isAsked)
    {
        uint alignment = (uint)export.Backend.Node.RequestAlignment;
        return new(Minimum: isAsked ? alignment : 1, Preferred: Math.Max(4096, alignment), Maximum: NbdLimits.MaxPayload);
    }

    // ---- Replies

    private void Acknowledge(OptionType option)
    {
        Reply(option, OptionReplyType.Ack, []);
        Send();
    }

    private void Refuse(OptionType option, OptionReplyType error, string text)
    {
        Reply(option, error, Encoding.UTF8.GetBytes(text));
        Send();
    }

    private void RefuseUnknownExport(OptionType option, string name)
        => Refuse(option, OptionReplyType.ErrorUnknown, $"export '{(name.Length > QuotedText ? name[..QuotedText] + "..." : name)}' not present");

    private void ReplyText(OptionType option, InfoType type, string text)
        => Reply(option, OptionReplyType.Info, [(byte)((ushort)type >> 8), (byte)type, .. Encoding.UTF8.GetBytes(text)]);

    private void Reply(OptionType option, OptionReplyType type, ReadOnlySpan<byte> data)
    {
        Span<byte> reply = _output.GetSpan(OptionReplyHeader.Size + data.Length);
        new OptionReplyHeader(option, type, (uint)data.Length).WriteTo(reply);
        data.CopyTo(reply[OptionReplyHeader.Size..]);
        _output.Advance(OptionReplyHeader.Size + data.Length);
    }

    private static byte[] BigEndian(uint value)
    {
        var bytes = new byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }

    private void Send()
    {
        LimitTime();
        Transport.Send(_output.WrittenSpan);
        _output.ResetWrittenCount();
    }

    // ---- Time

    private bool Fill(int length)
    {
        // One byte at a time, so that the time left is looked at between receives.
        for (int wanted = Math.Min(length, Input.Available + 1); ; wanted = Math.Min(length, Input.Available + 1))
        {
            if (Input.Available >= length) return true;
            LimitTime();
            if (!Input.Fill(wanted)) return false;
        }
    }

    private bool Skip(long length)
    {
        while (length > 0)
        {
            if (!Fill(1)) return false;
            int piece = (int)Math.Min(length, Input.Available);
            Input.Take(piece);
            length -= piece;
        }

        return true;
    }

    private void LimitTime()
    {
        TimeSpan left = server.Options.HandshakeTimeout - Stopwatch.GetElapsedTime(_started);
        if (left <= TimeSpan.Zero) throw new IOException("The handshake took too long.");
        Transport.SetTimeout(left);
    }
}
