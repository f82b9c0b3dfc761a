using System.Text.Json.Nodes;

namespace Varve.Graph;

/// <content>The options that every node has, taken before the driver sees its own.</content>
internal sealed partial class NodeOpening
{
    /// <summary>Takes the common options: they override what <see cref="Settings"/> inherited.</summary>
    /// <exception cref="BlockException">A value is malformed, or two of them contradict each other.</exception>
    internal void TakeSettings()
    {
        NodeSettings settings = Settings;
        if (TakeBool("read-only") is { } readOnly) settings = settings with { ReadOnly = readOnly, InheritsReadOnly = false };
        if (TakeBool("auto-read-only") is { } autoReadOnly) settings = settings with { AutoReadOnly = autoReadOnly };
        if (TakeBool("force-share") is { } forceShare) settings = settings with { ForceShare = forceShare };
        if (TakeString("discard") is { } discard) settings = settings with { Discard = ParseDiscard(discard) };
        if (TakeString("detect-zeroes") is { } detect) settings = settings with { DetectZeroes = ParseDetectZeroes(detect) };
        Settings = TakeCache(settings);

        if (Settings.ForceShare && !Settings.ReadOnly) throw Refused("force-share=on can only be used with read-only images");
        if (Settings.DetectZeroes == DetectZeroesMode.Unmap && !Settings.Discard)
        {
            throw Refused("setting detect-zeroes to unmap is not allowed without setting discard operation to unmap");
        }
    }

    private NodeSettings TakeCache(NodeSettings settings)
    {
        if (Options["cache"] is not JsonObject cache) return settings;
        Options.Remove("cache");
        foreach ((string name, JsonNode? value) in cache) Options["cache." + name] = value?.DeepClone();   // the names errors use
        if (TakeBool("cache.direct") is { } direct) settings = settings with { CacheDirect = direct };
        if (TakeBool("cache.no-flush") is { } noFlush) settings = settings with { CacheNoFlush = noFlush };
        return settings;
    }

    private static bool ParseDiscard(string word) => word switch
    {
        "unmap" or "on" => true,
        "ignore" or "off" => false,
        _ => throw Refused("Invalid discard option"),
    };

    private static DetectZeroesMode ParseDetectZeroes(string word) => word switch
    {
        "off" => DetectZeroesMode.Off,
        "on" => DetectZeroesMode.On,
        "unmap" => DetectZeroesMode.Unmap,
        _ => throw Refused($"invalid parameter value: {word}"),
    };

    private static BlockException Refused(string message) => new(BlockErrorKind.Invalid, message);
}
