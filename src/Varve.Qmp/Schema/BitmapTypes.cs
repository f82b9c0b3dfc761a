using System.Text.Json.Nodes;
using Varve.Bitmaps;
using Varve.Graph;
using Varve.Options;
using Varve.Qmp.Server;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Schema;

/// <summary>Arguments that name dirty bitmaps.</summary>
internal static class BitmapTypes
{
    /// <summary>A bitmap of a node.</summary>
    public static ObjectType Named => BlockdevSchema.Bitmap;

    /// <summary>A bitmap of the node at hand by its name, or one of another node.</summary>
    public static AlternateType NamedOrLocal { get; } = new("BlockDirtyBitmapOrStr", [("local", Str), ("external", Named)]);

    public static ObjectType Add { get; } = new("BlockDirtyBitmapAdd",
    [
        Required("node", Str), Required("name", Str), Optional("granularity", OptionType.UInt32), Optional("persistent", Bool), Optional("disabled", Bool),
    ]);

    public static ObjectType Merge { get; } = new("BlockDirtyBitmapMerge",
        [Required("node", Str), Required("target", Str), Required("bitmaps", NamedOrLocal.List)]);

    /// <summary>What a merge reads, of checked arguments.</summary>
    public static IReadOnlyList<BitmapOperations.Source> SourcesOf(BlockGraph graph, BlockNode node, JsonObject arguments)
        => [.. ((JsonArray)arguments["bitmaps"]!).Select(b => b is JsonObject external
            ? new BitmapOperations.Source(NodeLookup.ByName(graph, (string)external["node"]!), (string)external["name"]!)
            : new BitmapOperations.Source(node, (string)b!))];
}
