using System.Text.Json.Nodes;
using Varve.Bitmaps;

namespace Varve.Graph;

/// <summary>What queries and <c>img info</c> tell about nodes, as the JSON of QMP's structures. Needs the control lock.</summary>
internal static class NodeInfo
{
    private static readonly string[] s_limits = ["bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"];

    /// <summary><c>BlockNodeInfo</c>: one node, without what lies below.</summary>
    public static async ValueTask<JsonObject> OfNodeAsync(BlockNode node, CancellationToken cancellationToken)
    {
        BlockNode unfiltered = node.SkipFilters();
        var info = new JsonObject
        {
            ["filename"] = node.Filename,
            ["format"] = node.Driver.Name,
            ["virtual-size"] = node.Length,
        };
        if (await node.GetAllocatedSizeAsync(cancellationToken).ConfigureAwait(false) is { } allocated) info["actual-size"] = allocated;
        if (node.IsEncrypted) info["encrypted"] = true;
        if (unfiltered.ClusterSize > 0) info["cluster-size"] = unfiltered.ClusterSize;
        if (node.IsDirty is { } isDirty) info["dirty-flag"] = isDirty;
        if (node.GetSpecificInfo() is { } specific) info["format-specific"] = specific;
        if (!string.IsNullOrEmpty(node.RecordedBackingFile)) AddBackingNames(info, node);
        if (node.GetInternalSnapshots() is { Count: > 0 } snapshots) info["snapshots"] = snapshots;
        return info;
    }

    /// <summary><c>ImageInfo</c>: a node and, unless <paramref name="flat"/>, the chain of its backing images.</summary>
    public static async ValueTask<JsonObject> OfImageAsync(BlockNode node, bool flat, CancellationToken cancellationToken)
    {
        JsonObject top = await OfNodeAsync(node, cancellationToken).ConfigureAwait(false);
        JsonObject last = top;
        for (BlockNode? below = flat ? null : BelowInChain(node); below is not null; below = BelowInChain(below))
        {
            JsonObject info = await OfNodeAsync(below, cancellationToken).ConfigureAwait(false);
            last["backing-image"] = info;
            last = info;
        }

        return top;
    }

    /// <summary><c>BlockGraphInfo</c>: a node and everything below it.</summary>
    public static async ValueTask<JsonObject> OfGraphAsync(BlockNode node, CancellationToken cancellationToken)
    {
        JsonObject info = await OfNodeAsync(node, cancellationToken).ConfigureAwait(false);
        var children = new JsonArray();
        foreach (BlockChild child in node.Children)
        {
            children.Add((JsonNode)new JsonObject
            {
                ["name"] = child.Name,
                ["info"] = await OfGraphAsync(child.Node, cancellationToken).ConfigureAwait(false),
            });
        }

        info["children"] = children;
        return info;
    }

    /// <summary><c>BlockDeviceInfo</c>: a node as something in use, with its chain unless <paramref name="flat"/>.</summary>
    public static async ValueTask<JsonObject> OfDeviceAsync(BlockNode node, bool flat, CancellationToken cancellationToken)
    {
        var info = new JsonObject
        {
            ["file"] = node.Filename,
            ["node-name"] = node.NodeName,
            ["ro"] = node.IsReadOnly,
            ["drv"] = node.Driver.Name,
            ["encrypted"] = node.IsEncrypted,
            ["backing_file_depth"] = flat ? 0 : DepthBelow(node),
            ["detect_zeroes"] = node.Settings.DetectZeroes switch
            {
                DetectZeroesMode.On => "on",
                DetectZeroesMode.Unmap => "unmap",
                _ => "off",
            },
            ["cache"] = new JsonObject
            {
                ["writeback"] = true,
                ["direct"] = node.Settings.CacheDirect,
                ["no-flush"] = node.Settings.CacheNoFlush,
            },
            ["write_threshold"] = 0,
        };
        foreach (string limit in s_limits) info[limit] = 0;
        if (node.BackingChild is { } backing) info["backing_file"] = backing.Node.SkipImplicitFilters().Filename;
        if (node.Bitmaps.Any) info["dirty-bitmaps"] = OfBitmaps(node.Bitmaps);
        info["image"] = await OfImageAsync(node, flat, cancellationToken).ConfigureAwait(false);
        return info;
    }

    /// <summary><c>BlockDirtyInfo</c> of each bitmap, newest first.</summary>
    private static JsonArray OfBitmaps(NodeBitmaps bitmaps)
    {
        var list = new JsonArray();
        foreach (DirtyBitmap bitmap in bitmaps.All.Reverse())
        {
            var info = new JsonObject
            {
                ["count"] = bitmap.DirtyBytes,
                ["granularity"] = bitmap.Granularity,
                ["recording"] = bitmap.IsEnabled,
                ["busy"] = bitmap.IsBusy,
                ["persistent"] = bitmap.IsPersistent,
            };
            if (bitmap.Name is not null) info["name"] = bitmap.Name;
            if (bitmap.IsInconsistent) info["inconsistent"] = true;
            list.Add((JsonNode)info);
        }

        return list;
    }

    /// <summary>How many images and filters the chain below has, as <see cref="OfImageAsync"/> nests them.</summary>
    private static int DepthBelow(BlockNode node)
    {
        int depth = 0;
        for (BlockNode? below = BelowInChain(node); below is not null; below = BelowInChain(below)) depth++;
        return depth;
    }

    private static BlockNode? BelowInChain(BlockNode node) => node.ChainChild?.Node.SkipImplicitFilters();

    private static void AddBackingNames(JsonObject info, BlockNode node)
    {
        info["backing-filename"] = node.RecordedBackingFile;
        if (!string.IsNullOrEmpty(node.RecordedBackingFormat)) info["backing-filename-format"] = node.RecordedBackingFormat;
        try
        {
            info["full-backing-filename"] = node.FullBackingFile;
        }
        catch (BlockException)
        {
            // The image has no directory that its relative backing name could be relative to: left out.
        }
    }
}
