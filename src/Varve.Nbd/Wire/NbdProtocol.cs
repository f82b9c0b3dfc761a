namespace Varve.Nbd.Wire;

/// <summary>Limits both sides of a connection agree on: NBD protocol, "Conventions" and "Block sizes".</summary>
internal static class NbdLimits
{
    /// <summary>Bytes of an export name, a description, a query: "MUST be no longer than 4096 bytes".</summary>
    public const int MaxString = 4096;

    /// <summary>Bytes of the largest READ, WRITE or CACHE; what the reference announces as its largest block.</summary>
    public const int MaxPayload = 32 << 20;

    /// <summary>Bytes of the largest minimum block a server may ask for: "SHOULD NOT be more than 64k".</summary>
    public const int MaxBlockAlignment = 64 << 10;

    /// <summary>Bytes of option data that are looked at; longer options are skipped and refused.</summary>
    public const int MaxOptionData = 64 << 10;
}

/// <summary>What the server offers in its first message.</summary>
[Flags]
internal enum HandshakeFlags : ushort
{
    None = 0,
    FixedNewstyle = 1,
    NoZeroes = 2,
}

/// <summary>What the client answers to <see cref="HandshakeFlags"/>; a bit unknown to the server ends the connection.</summary>
[Flags]
internal enum ClientFlags : uint
{
    None = 0,
    FixedNewstyle = 1,
    NoZeroes = 2,
    All = FixedNewstyle | NoZeroes,
}

/// <summary>What the server says about an export when transmission begins.</summary>
[Flags]
internal enum TransmissionFlags : ushort
{
    None = 0,
    HasFlags = 1 << 0,
    ReadOnly = 1 << 1,
    SendFlush = 1 << 2,
    SendFua = 1 << 3,
    Rotational = 1 << 4,
    SendTrim = 1 << 5,
    SendWriteZeroes = 1 << 6,
    SendDontFragment = 1 << 7,
    CanMultiConn = 1 << 8,
    SendResize = 1 << 9,
    SendCache = 1 << 10,
    SendFastZero = 1 << 11,
    BlockStatusPayload = 1 << 12,
}

/// <summary>What a client asks for during the handshake.</summary>
internal enum OptionType : uint
{
    ExportName = 1,
    Abort = 2,
    List = 3,
    PeekExport = 4,
    StartTls = 5,
    Info = 6,
    Go = 7,
    StructuredReply = 8,
    ListMetaContext = 9,
    SetMetaContext = 10,
    ExtendedHeaders = 11,
}

/// <summary>How the server answers an option; errors have the highest bit set and may carry a text for people.</summary>
internal enum OptionReplyType : uint
{
    Ack = 1,
    Server = 2,
    Info = 3,
    MetaContext = 4,

    ErrorUnsupported = Error | 1,
    ErrorPolicy = Error | 2,
    ErrorInvalid = Error | 3,
    ErrorPlatform = Error | 4,
    ErrorTlsRequired = Error | 5,
    ErrorUnknown = Error | 6,
    ErrorShutdown = Error | 7,
    ErrorBlockSizeRequired = Error | 8,
    ErrorTooBig = Error | 9,
    ErrorExtendedHeadersRequired = Error | 10,

    Error = 1u << 31,
}

/// <summary>The pieces of information INFO and GO may ask for and return.</summary>
internal enum InfoType : ushort
{
    Export = 0,
    Name = 1,
    Description = 2,
    BlockSize = 3,
}

/// <summary>Requests of the transmission phase.</summary>
internal enum CommandType : ushort
{
    Read = 0,
    Write = 1,
    Disconnect = 2,
    Flush = 3,
    Trim = 4,
    Cache = 5,
    WriteZeroes = 6,
    BlockStatus = 7,
}

/// <summary>Modifiers of a request; which are valid depends on the command.</summary>
[Flags]
internal enum CommandFlags : ushort
{
    None = 0,

    /// <summary>Durable before the reply (force unit access).</summary>
    Fua = 1 << 0,

    /// <summary>WRITE_ZEROES: keep the space allocated.</summary>
    NoHole = 1 << 1,

    /// <summary>READ: answer with one content chunk.</summary>
    DontFragment = 1 << 2,

    /// <summary>BLOCK_STATUS: one extent a context.</summary>
    RequestOne = 1 << 3,

    /// <summary>WRITE_ZEROES: fail rather than be as slow as a write.</summary>
    FastZero = 1 << 4,

    /// <summary>The length is that of a payload that follows, not of the range: WRITE, and BLOCK_STATUS for selected contexts.</summary>
    PayloadLength = 1 << 5,
}

/// <summary>What the payload of a structured reply chunk is.</summary>
internal enum ChunkType : ushort
{
    None = 0,
    OffsetData = 1,
    OffsetHole = 2,
    BlockStatus = 5,
    BlockStatusExtended = 6,
    Error = (1 << 15) | 1,
    ErrorOffset = (1 << 15) | 2,
}

/// <summary>Whether more chunks of the same reply follow.</summary>
[Flags]
internal enum ChunkFlags : ushort
{
    None = 0,
    Done = 1,
}

/// <summary>Error numbers as they travel: a fixed set, whatever errno is on either side.</summary>
internal enum NbdError : uint
{
    None = 0,
    PermissionDenied = 1,
    InputOutput = 5,
    NoMemory = 12,
    Invalid = 22,
    NoSpace = 28,
    Overflow = 75,
    NotSupported = 95,
    Shutdown = 108,
}

/// <summary>What <c>base:allocation</c> says of an extent.</summary>
[Flags]
internal enum AllocationState : uint
{
    None = 0,

    /// <summary>No data is stored: a write may need new space.</summary>
    Hole = 1,

    /// <summary>Reads as zeros.</summary>
    Zero = 2,
}
