namespace Varve.Nbd.Wire;

/// <summary>How people call options and the replies to them: error texts.</summary>
internal static class OptionNames
{
    public static string Of(OptionType option) => option switch
    {
        OptionType.ExportName => "export name",
        OptionType.Abort => "abort",
        OptionType.List => "list",
        OptionType.PeekExport => "peek export",
        OptionType.StartTls => "starttls",
        OptionType.Info => "info",
        OptionType.Go => "go",
        OptionType.StructuredReply => "structured reply",
        OptionType.ListMetaContext => "list meta context",
        OptionType.SetMetaContext => "set meta context",
        OptionType.ExtendedHeaders => "extended headers",
        _ => "<unknown>",
    };

    public static string Of(OptionReplyType type) => type switch
    {
        OptionReplyType.Ack => "ack",
        OptionReplyType.Server => "server",
        OptionReplyType.Info => "info",
        OptionReplyType.MetaContext => "meta context",
        OptionReplyType.ErrorUnsupported => "unsupported",
        OptionReplyType.ErrorPolicy => "denied by policy",
        OptionReplyType.ErrorInvalid => "invalid",
        OptionReplyType.ErrorPlatform => "platform lacks support",
        OptionReplyType.ErrorTlsRequired => "TLS required",
        OptionReplyType.ErrorUnknown => "export unknown",
        OptionReplyType.ErrorShutdown => "server shutting down",
        OptionReplyType.ErrorBlockSizeRequired => "block size required",
        OptionReplyType.ErrorTooBig => "option payload too big",
        OptionReplyType.ErrorExtendedHeadersRequired => "extended headers required",
        _ => "<unknown>",
    };
}
