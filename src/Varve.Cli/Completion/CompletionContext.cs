using Varve.Cli.CommandLine;
using Varve.Cli.Daemon;
using Varve.Cli.Img;
using Varve.Cli.Inspect;
using Varve.Cli.Io;
using Varve.Cli.Nbd;
using Varve.Graph;

namespace Varve.Cli.Completion;

/// <summary>Where on a command line one set of options holds: a tool, or a verb of a tool.</summary>
/// <param name="Tool">As after <c>varve</c>.</param>
/// <param name="Verb">Empty for the tool's own options.</param>
/// <param name="Options">What may be given there.</param>
internal sealed record CompletionContext(string Tool, string Verb, OptionTable Options)
{
    /// <summary>Every context of every tool, from the tables the tools read their command lines with.</summary>
    public static IReadOnlyList<CompletionContext> All { get; } =
    [
        new("img", "", ImgTool.Options),
        .. ImgVerbs.All.Select(v => new CompletionContext("img", v.Name, v.Create().Options)),
        new("io", "", IoTool.Options),
        new("nbd", "", NbdArguments.Options),
        new("daemon", "", DaemonTool.Options),
        new("inspect", "", InspectTool.Options),
    ];

    /// <summary>The programs a tool replaces, by link name.</summary>
    public static IReadOnlyList<(string Link, string Tool)> Links { get; } =
        [("qemu-img", "img"), ("qemu-io", "io"), ("qemu-nbd", "nbd"), ("qemu-storage-daemon", "daemon")];

    /// <summary>The words an option's argument is one of; null where it is a file or free text.</summary>
    public string? WordsFor(string key) => key switch
    {
        "f" or "F" when Tool is "img" or "io" or "nbd" => Formats(_ => true),
        "O" => Formats(d => Creation.CreationFormat.Find(d.Name) is not null),
        "cache" => "writeback none writethrough directsync unsafe",
        "t" or "T" when Verb.Length > 0 || (Tool == "io" && key == "t") => "writeback none writethrough directsync unsafe",
        "output" => "human json",
        "progress" => "json bar none",
        "preallocation" => "off metadata falloc full",
        "r" when Verb == "check" => "leaks all",
        "i" or "aio" => "threads native io_uring",
        "d" or "discard" when Tool == "io" => "ignore off unmap on",
        "object" => string.Join(' ', Objects.ObjectOptions.Type.AllVariants!.Keys.Order(StringComparer.Ordinal)),
        _ => null,
    };

    /// <summary>Options with letters and names as they are written.</summary>
    public IEnumerable<(IReadOnlyList<string> Spellings, string Key, bool TakesArgument)> Written
        => Options.All.Select(o => (
            (IReadOnlyList<string>)[.. new[] { o.Letter is null ? null : $"-{o.Letter}", o.Name is null ? null : $"--{o.Name}" }.OfType<string>()],
            o.Letter?.ToString() ?? o.Name!,
            o.TakesArgument));

    private static string Formats(Func<BlockDriver, bool> filter)
        => string.Join(' ', BlockDrivers.Default.All.Where(filter).Select(d => d.Name).Order(StringComparer.Ordinal));
}
