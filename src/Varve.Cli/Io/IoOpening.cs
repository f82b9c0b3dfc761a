using Varve.Cli.CommandLine;
using Varve.Graph;

namespace Varve.Cli.Io;

/// <summary>How an image is to be opened: what <c>io</c>'s own options and those of its command <c>open</c> say alike.</summary>
internal sealed record IoOpening
{
    public bool IsReadOnly { get; private init; }

    /// <summary>Writes go to an overlay that is forgotten.</summary>
    public bool IsSnapshot { get; private init; }

    public bool CopiesOnRead { get; private init; }

    public bool ForceShare { get; private init; }

    public bool Discard { get; private init; } = true;

    /// <summary>The engine of the file below; null: the default.</summary>
    public string? Aio { get; private init; }

    public CacheMode Cache { get; private init; } = new(Direct: false, NoFlush: false, WriteThrough: true);

    /// <summary>The node settings that say the same.</summary>
    public NodeSettings Settings => Cache.Apply(new() { ReadOnly = IsReadOnly || IsSnapshot, ForceShare = ForceShare, Discard = Discard });

    /// <summary>With one more option.</summary>
    /// <param name="option">Its letter: one of <c>rsCUnktid</c>.</param>
    /// <param name="argument">Its argument.</param>
    /// <exception cref="BlockException">There is no such mode.</exception>
    public IoOpening With(char option, string argument) => option switch
    {
        'r' => this with { IsReadOnly = true },
        's' => this with { IsSnapshot = true },
        'C' => this with { CopiesOnRead = true },
        'U' => this with { ForceShare = true },
        'n' => this with { Cache = new(Direct: true, NoFlush: false, WriteThrough: false) },
        'k' => this with { Aio = "native" },
        't' => this with { Cache = CacheMode.TryParse(argument) ?? throw Invalid("cache", argument) },
        'i' => this with { Aio = argument is "threads" or "native" or "io_uring" ? argument : throw Invalid("aio", argument) },
        'd' => this with
        {
            Discard = argument switch
            {
                "unmap" or "on" => true,
                "ignore" or "off" => false,
                _ => throw Invalid("discard", argument),
            },
        },
        _ => throw new ArgumentOutOfRangeException(nameof(option), option, "No option of opening."),
    };

    private static BlockException Invalid(string what, string word) => new(BlockErrorKind.Invalid, $"Invalid {what} option: {word}");
}
