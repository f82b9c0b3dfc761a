using System.Buffers.Binary;
using System.Diagnostics;
using System.Text;
using Varve.Nbd.Transport;
using Varve.Nbd.Wire;

namespace Varve.Nbd.Client;

/// <summary>Takes a connection from the server's greeting to transmission, or asks a server what it offers.</summary>
/// <remarks>
/// Nothing a server says is believed: every length has a limit, what does not fit ends the handshake with an error that names it, and
/// the whole takes no longer than the time allowed.
/// </remarks>
internal sealed partial class ClientHandshake : IDisposable
{
    private const ulong OldstyleMagic = 0x0000_4202_8186_1253;
    private const string EndOfFile = "Unexpected end-of-file before all data were read";

    private readonly NbdClientOptions _options;
    private readonly long _started = Stopwatch.GetTimestamp();
    private bool _isFixed, _hasPadding = true;

    public ClientHandshake(NbdTransport transport, NbdClientOptions options)
    {
        _options = options;
        Transport = transport;
        Input = new ReceiveStream(transport);
    }

    /// <summary>What the connection runs on now: another one than at the beginning, once it is encrypted.</summary>
    public NbdTransport Transport { get; private set; }

    /// <summary>For receiving; may hold bytes already.</summary>
    public ReceiveStream Input { get; private set; }

    /// <summary>Lengths of 64 bits, chunked replies, or neither: what the server agreed to.</summary>
    public HeaderForm Form { get; private set; }

    /// <summary>Negotiates until the server is ready for requests to the export asked for.</summary>
    /// <exception cref="BlockException">It is not there, or the server breaks the protocol.</exception>
    /// <exception cref="IOException">The connection broke.</exception>
    public ExportDetails Go()
    {
        if (Encoding.UTF8.GetByteCount(_options.Export) > NbdLimits.MaxString) throw Failure($"export name '{_options.Export}' too long");
        if (!Greet()) return BeginOldstyle();
        if (!_isFixed) return ChooseByName();
        NegotiateForm();
        uint? context = Form == HeaderForm.Simple ? null : SelectContext();
        ExportDetails? details = Describe(OptionType.Go, _options.Export, isStrict: true);
        if (details is null)
        {
            FindInList();
            details = ChooseByName();
        }

        return details with { StatusContextId = context };
    }

    /// <summary>Leaves in good order, where the server understands that.</summary>
    public void Abort()
    {
        try
        {
            if (!_isFixed) return;
            SendOption(OptionType.Abort, []);
            Transport.SayGoodbye();
        }
        catch (IOException)
        {
            // It has left before us.
        }
    }

    public void Dispose() => Input.Dispose();

    // ---- The greeting

    /// <summary>Reads the greeting; false for an old server that does not negotiate.</summary>
    private bool Greet()
    {
        ulong magic = BinaryPrimitives.ReadUInt64BigEndian(Receive(8, "initial magic"));
        if (magic != Greeting.ServerMagic) throw Failure($"Bad initial magic received: 0x{magic:x16}");
        magic = BinaryPrimitives.ReadUInt64BigEndian(Receive(8, "server magic"));
        if (magic == OldstyleMagic)
        {
            return _options.Tls is null ? false : throw Failure("Server does not support STARTTLS");
        }

        if (magic != Greeting.OptionMagic) throw Failure($"Bad server magic received: 0x{magic:x16}");
        var offered = (HandshakeFlags)BinaryPrimitives.ReadUInt16BigEndian(Receive(2, "server flags"));
        _isFixed = (offered & HandshakeFlags.FixedNewstyle) != 0;
        _hasPadding = (offered & HandshakeFlags.NoZeroes) == 0;
        ClientFlags chosen = (_isFixed ? ClientFlags.FixedNewstyle : 0) | (_hasPadding ? 0 : ClientFlags.NoZeroes);
        Span<byte> reply = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(reply, (uint)chosen);
        Send(reply);
        if (_options.Tls is { } upgrade) StartTls(upgrade);
        return true;
    }

    private void StartTls(TlsUpgrade upgrade)
    {
        if (!_isFixed) throw Failure("Server does not support STARTTLS");
        if (!AskSimple(OptionType.StartTls, isStrict: true)) throw Failure("Server don't support STARTTLS option");

        // What came in the clear behind the agreement may be anybody's, and must not count as said under encryption.
        if (Input.Available > 0) throw Failure("Server sent data before TLS was started");
        LimitTime();
        Transport = upgrade(Transport);
        Input.Dispose();
        Input = new ReceiveStream(Transport);
    }

    private ExportDetails BeginOldstyle()
    {
        if (_options.Export.Length > 0) throw Failure("Server does not support non-empty export names");
        long size = CheckSize(BinaryPrimitives.ReadUInt64BigEndian(Receive(8, "export length")));
        uint flags = BinaryPrimitives.ReadUInt32BigEndian(Receive(4, "export flags"));
        if ((flags & ~0xFFFFu) != 0) throw Failure($"Unexpected export flags 0x{flags:x}");
        Receive(ExportNameReply.Padding, "reserved block");
        return new ExportDetails("") { Size = size, Flags = (TransmissionFlags)flags };
    }

    // ---- Options

    private void NegotiateForm()
    {
        if (AskSimple(OptionType.ExtendedHeaders, isStrict: false)) Form = HeaderForm.Extended;
        else if (AskSimple(OptionType.StructuredReply, isStrict: false)) Form = HeaderForm.Structured;
    }

    /// <summary>Selects the context of block status; null where the server does not have it.</summary>
    private uint? SelectContext()
    {
        const OptionType option = OptionType.SetMetaContext;
        SendOption(option, OptionDataWriter.Contexts(_options.Export, _options.StatusContext));
        uint? selected = null;
        while (NextReply(option, OptionReplyType.MetaContext, isStrict: false) is { } reply)
        {
            if (reply.Length < 4) throw Failure($"Failed to negotiate meta context '{_options.StatusContext}', server answered with unexpected length {reply.Length}");
            if (selected is not null) throw Failure("Server answered with more than one context");
            string name = TextOf(reply.Span[4..]);
            if (name != _options.StatusContext)
            {
                throw Failure($"Failed to negotiate meta context '{_options.StatusContext}', server answered with different context '{name}'");
            }

            selected = BinaryPrimitives.ReadUInt32BigEndian(reply.Span);
        }

        return selected;
    }

    /// <summary>INFO or GO.</summary>
    /// <returns>Null when the server does not know the option.</returns>
    private ExportDetails? Describe(OptionType option, string export, bool isStrict)
    {
        SendOption(option, OptionDataWriter.Info(export, InfoType.BlockSize, InfoType.Description));
        var details = new ExportDetails(export) { Form = Form };
        bool isRefused = false;
        while (NextReply(option, OptionReplyType.Info, isStrict, () => isRefused = true) is { } reply)
        {
            if (reply.Length < 2) throw Failure($"NBD_REP_INFO length {reply.Length} is too short");
            details = Add(details, reply.Span);
        }

        if (isRefused) return null;
        if ((details.Flags & TransmissionFlags.HasFlags) == 0) throw Failure("broken server omitted NBD_INFO_EXPORT");
        if (details.BlockSizes is { } sizes && details.Size % sizes.Minimum != 0)
        {
            throw Failure($"export size {details.Size} is not multiple of minimum block size {sizes.Minimum}");
        }

        return details;
    }

    private static ExportDetails Add(ExportDetails details, ReadOnlySpan<byte> info)
    {
        switch ((InfoType)BinaryPrimitives.ReadUInt16BigEndian(info))
        {
            case InfoType.Export:
                CheckLength(info, ExportInfo.Size);
                ExportInfo export = ExportInfo.Read(info);
                return details with { Size = CheckSize((ulong)export.ExportSize), Flags = export.Flags };
            case InfoType.BlockSize:
                CheckLength(info, BlockSizeInfo.Size);
                return details with { BlockSizes = Check(BlockSizeInfo.Read(info)) };
            case InfoType.Description:
                return details with { Description = TextOf(info[2..]) };
            default:
                return details;   // what we did not ask for, or do not know, is not for us
        }
    }

    private static void CheckLength(ReadOnlySpan<byte> info, int expected)
    {
        if (info.Length != expected) throw Failure($"remaining export info len {info.Length - 2} is unexpected size");
    }

    private static BlockSizeInfo Check(BlockSizeInfo sizes)
    {
        if (!uint.IsPow2(sizes.Minimum)) throw Failure($"server minimum block size {sizes.Minimum} is not a power of two");
        if (sizes.Minimum > NbdLimits.MaxBlockAlignment) throw Failure($"server minimum block size {sizes.Minimum} is larger than {NbdLimits.MaxBlockAlignment}");
        if (!uint.IsPow2(sizes.Preferred) || sizes.Preferred < sizes.Minimum) throw Failure($"server preferred block size {sizes.Preferred} is not valid");
        if (sizes.Maximum < sizes.Minimum) throw Failure($"server maximum block size {sizes.Maximum} is not valid");
        return sizes;
    }

    /// <summary>EXPORT_NAME: the only way to choose with servers that do not know GO; a refusal is the end of the connection.</summary>
    private ExportDetails ChooseByName()
    {
        SendOption(OptionType.ExportName, Encoding.UTF8.GetBytes(_options.Export));
        long size = CheckSize(BinaryPrimitives.ReadUInt64BigEndian(Receive(8, "export length")));
        var flags = (TransmissionFlags)BinaryPrimitives.ReadUInt16BigEndian(Receive(2, "export flags"));
        if (_hasPadding) Receive(ExportNameReply.Padding, "reserved block");
        return new ExportDetails(_options.Export) { Size = size, Flags = flags, Form = Form };
    }

    private void FindInList()
    {
        List<(string Name, string Description)>? exports = List(isStrict: false);
        if (exports is not null && !exports.Exists(e => e.Name == _options.Export)) throw Failure($"No export with name '{_options.Export}' available");
    }

    private static long CheckSize(ulong size)
        => size <= long.MaxValue ? (long)size : throw Failure($"export length {size} is larger than {long.MaxValue}");

    private static BlockException Failure(string message) => new(BlockErrorKind.Invalid, message);
}
