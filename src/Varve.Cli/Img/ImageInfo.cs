using System.Text.Json.Nodes;
using Varve.Graph;

namespace Varve.Cli.Img;

/// <summary>Describes a node and its children in QMP's words (<c>BlockGraphInfo</c>).</summary>
internal static class ImageInfo
{
    /// <summary>Everything <c>img info</c> says about an image.</summary>
    public static async ValueTask<JsonObject> OfAsync(BlockNode node, CancellationToken cancellationToken)
    {
        var info = new JsonObject
        {
            ["filename"] = node.Filename,
            ["format"] = node.Driver.Name,
            ["virtual-size"] = node.Length,
        };
        if (node.IsDirty is { } isDirty) info["dirty-flag"] = isDirty;
        if (await node.GetAllocatedSizeAsync(cancellationToken).ConfigureAwait(false) is { } size) info["actual-size"] = size;
        if (node.ClusterSize > 0) info["cluster-size"] = (long)node.ClusterSize;
        if (node.IsEncrypted) info["encrypted"] = true;
        AddBacking(info, node);
        if (node.GetInternalSnapshots() is { Count: > 0 } snapshots) info["snapshots"] = snapshots;
        if (node.GetSpecificInfo() is { } specific) info["format-specific"] = specific;

        var children = new JsonArray();
        foreach (BlockChild child in node.Children.Reverse())
        {
            if (ReferenceEquals(child, node.BackingChild)) continue;
            children.Add((JsonNode)new JsonObject { ["name"] = child.Name, ["info"] = await OfAsync(child.Node, cancellationToken).ConfigureAwait(false) });
        }

        info["children"] = children;
        return info;
    }

    private static void AddBacking(JsonObject info, BlockNode node)
    {
        if (string.IsNullOrEmpty(node.RecordedBackingFile)) return;
        info["backing-filename"] = node.RecordedBackingFile;
        if (FullBackingFile(node) is { } full) info["full-backing-filename"] = full;
        if (!string.IsNullOrEmpty(node.RecordedBackingFormat)) info["backing-filename-format"] = node.RecordedBackingFormat;
    }

    private static string? FullBackingFile(BlockNode node)
    {
        try
        {
            return node.FullBackingFile;
        }
        catch (BlockException)
        {
            return null;   // the image is named in a way that has no directory: the name is shown without where it leads
        }
    }
}
