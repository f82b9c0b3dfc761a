using Varve.Cli.Io.Commands;

namespace Varve.Cli.Io;

/// <summary>The commands there are.</summary>
internal static class IoCommands
{
    /// <summary>Those that work on an image somebody else opened: the tool's, or a monitor's.</summary>
    public static IReadOnlyList<IoCommand> ForAnyImage =>
    [
        new AbortCommand(), new AioFlushCommand(), new AioReadCommand(), new AioWriteCommand(), new AllocCommand(), new BreakCommand(),
        new DiscardCommand(), new FlushCommand(), new HelpCommand(), new InfoCommand(), new LengthCommand(), new MapCommand(),
        new ReadCommand(), new ReadvCommand(), new RemoveBreakCommand(), new ReopenCommand(), new ResumeCommand(), new SigraiseCommand(),
        new SleepCommand(), new TruncateCommand(), new WaitBreakCommand(), new WriteCommand(), new WritevCommand(), .. Zones,
    ];

    /// <summary>All of the tool.</summary>
    public static IReadOnlyList<IoCommand> ForTool(IoImages images)
        => [.. ForAnyImage, new CloseCommand(images), new OpenCommand(images), new QuitCommand()];

    private static IReadOnlyList<IoCommand> Zones =>
    [
        new ZoneCommand("zone_append", "zap", "off len [len..]", "appends a number of bytes to a zone", isVector: true),
        new ZoneCommand("zone_close", "zc", "off len", "closes a range of zones"),
        new ZoneCommand("zone_finish", "zf", "off len", "finishes a range of zones"),
        new ZoneCommand("zone_open", "zo", "off len", "opens a range of zones"),
        new ZoneCommand("zone_report", "zrp", "off number", "reports a number of zones"),
        new ZoneCommand("zone_reset", "zrs", "off len", "resets a range of zones"),
    ];
}
