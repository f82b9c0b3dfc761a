using Varve.Graph;

namespace Varve.Cli.CommandLine;

/// <summary>The words of <c>-t</c> and <c>-T</c>.</summary>
/// <param name="Direct">Bypass the page cache.</param>
/// <param name="NoFlush">Ignore flushes.</param>
/// <param name="WriteThrough">Every write is durable when it completes.</param>
internal readonly record struct CacheMode(bool Direct, bool NoFlush, bool WriteThrough)
{
    public static CacheMode WriteBack => default;

    public static CacheMode Unsafe => new(false, true, false);

    /// <summary>Reads a word; null when it is none.</summary>
    public static CacheMode? TryParse(string word) => word switch
    {
        "writeback" => WriteBack,
        "none" or "off" => new(true, false, false),
        "writethrough" => new(false, false, true),
        "directsync" => new(true, false, true),
        "unsafe" => Unsafe,
        _ => null,
    };

    /// <summary>The node settings that say the same; write-through is the writer's business.</summary>
    public NodeSettings Apply(NodeSettings settings) => settings with { CacheDirect = Direct, CacheNoFlush = NoFlush };
}
