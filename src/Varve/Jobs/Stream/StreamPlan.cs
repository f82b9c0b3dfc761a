using Varve.Graph;

namespace Varve.Jobs;

/// <summary>What a stream will do, found out and checked before anything changes.</summary>
/// <param name="Top">The node that was named: it receives the data, or is a filter above the image that does.</param>
/// <param name="BaseOverlay">The lowest image whose data is copied; <paramref name="Top"/>'s own image when there is nothing to copy.</param>
/// <param name="AboveBase">The node whose child the new backing node is: the overlay, or the lowest filter below it.</param>
internal sealed record StreamPlan(BlockNode Top, BlockNode BaseOverlay, BlockNode AboveBase)
{
    /// <summary>The image that receives the data and whose header is rewritten.</summary>
    public BlockNode TopImage { get; } = Top.SkipFilters();

    /// <summary>The nodes below <see cref="Top"/> down to <see cref="AboveBase"/>: they leave the chain when the job is done.</summary>
    public IEnumerable<BlockNode> Intermediates
    {
        get
        {
            for (BlockNode node = Top; !ReferenceEquals(node, AboveBase);)
            {
                node = node.ChainChild!.Node;
                yield return node;
            }
        }
    }

    /// <summary>Checks the arguments in the reference's order.</summary>
    /// <exception cref="BlockException">The first argument that is wrong.</exception>
    public static StreamPlan Make(BlockGraph graph, StreamOptions options)
    {
        RefuseTogether("base", options.Base, "base-node", options.BaseNode);
        RefuseTogether("base", options.Base, "bottom", options.Bottom);
        RefuseTogether("bottom", options.Bottom, "base-node", options.BaseNode);

        BlockNode top = graph.FindNode(options.Device) ?? throw NoSuchNode(options.Device, options.Device);
        BlockNode? baseNode = FindBase(graph, top, options);
        BlockNode? bottom = options.Bottom is null ? null : FindBottom(graph, top, options);
        RefuseBusy(top, bottom is null ? baseNode : bottom.ChainChild?.Node);
        if (options.BackingFile is not null && baseNode is null)
        {
            throw new BlockException(BlockErrorKind.Invalid, "backing file specified, but streaming the entire chain");
        }

        if (bottom is not null) return new StreamPlan(top, bottom, bottom);
        BlockNode overlay = FindOverlay(top, baseNode);
        BlockNode aboveBase = overlay;
        while (!ReferenceEquals(aboveBase.ChainChild?.Node, baseNode)) aboveBase = aboveBase.ChainChild!.Node;
        return new StreamPlan(top, overlay, aboveBase);
    }

    private static BlockNode? FindBase(BlockGraph graph, BlockNode top, StreamOptions options)
    {
        if (options.Base is { } name)
        {
            return BackingChain.FindImage(top, name)
                ?? throw new BlockException(BlockErrorKind.NotFound, $"Can't find '{name}' in the backing chain");
        }

        if (options.BaseNode is not { } nodeName) return null;
        BlockNode node = graph.FindNode(nodeName) ?? throw NoSuchNode("", nodeName);
        return !ReferenceEquals(node, top) && IsInChain(top, node)
            ? node
            : throw new BlockException(BlockErrorKind.Invalid, $"Node '{nodeName}' is not a backing image of '{options.Device}'");
    }

    private static BlockNode FindBottom(BlockGraph graph, BlockNode top, StreamOptions options)
    {
        string name = options.Bottom!;
        BlockNode node = graph.FindNode(name) ?? throw NoSuchNode("", name);
        if (node.Driver.IsFilter) throw new BlockException(BlockErrorKind.Invalid, $"Node '{name}' is a filter, use a non-filter node as 'bottom'");
        return IsInChain(top, node)
            ? node
            : throw new BlockException(BlockErrorKind.Invalid, $"Node '{name}' is not in a chain starting from '{options.Device}'");
    }

    /// <summary>The image whose backing chain begins, filters aside, with <paramref name="baseNode"/>; without one the last image.</summary>
    private static BlockNode FindOverlay(BlockNode top, BlockNode? baseNode)
    {
        BlockNode image = top.SkipFilters();
        while (image.BackingChild?.Node is { } below)
        {
            BlockNode next = below.SkipFilters();
            for (BlockNode node = below; baseNode is not null; node = node.ChainChild!.Node)
            {
                if (ReferenceEquals(node, baseNode)) return image;
                if (ReferenceEquals(node, next)) break;
            }

            image = next;
        }

        return baseNode is null
            ? image
            : throw new BlockException(BlockErrorKind.Invalid, $"'{baseNode.NodeName}' is not in the backing chain of '{top.NodeName}'");
    }

    private static bool IsInChain(BlockNode top, BlockNode node)
    {
        for (BlockNode? at = top; at is not null; at = at.ChainChild?.Node)
        {
            if (ReferenceEquals(at, node)) return true;
        }

        return false;
    }

    private static void RefuseBusy(BlockNode top, BlockNode? end)
    {
        for (BlockNode? node = top; node is not null && !ReferenceEquals(node, end); node = node.ChainChild?.Node) BlockGraph.RequireUnblocked(node);
    }

    private static void RefuseTogether(string first, string? firstValue, string second, string? secondValue)
    {
        if (firstValue is null || secondValue is null) return;
        throw new BlockException(BlockErrorKind.Invalid, $"'{first}' and '{second}' cannot be specified at the same time");
    }

    private static BlockException NoSuchNode(string device, string name)
        => new(BlockErrorKind.NotFound, $"Cannot find device='{device}' nor node-name='{name}'");
}
