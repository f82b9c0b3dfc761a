using Varve.Graph;

namespace Varve.Jobs;

/// <summary>What a commit will do, found out and checked before anything changes.</summary>
/// <param name="Top">The uppermost node whose data is copied.</param>
/// <param name="Base">The node that receives it.</param>
/// <param name="IsActive">Whether somebody writes to the top, or could: the job catches up with writes and waits to be completed.</param>
internal sealed record CommitPlan(BlockNode Top, BlockNode Base, bool IsActive)
{
    /// <summary>The first image at or below <see cref="Top"/>.</summary>
    public BlockNode TopImage { get; } = Top.SkipFilters();

    /// <summary>The lowest image above the base.</summary>
    public BlockNode LastImage
    {
        get
        {
            BlockNode image = TopImage;
            while (BackingChain.Next(image) is { } next && !ReferenceEquals(next, Base.SkipFilters())) image = next;
            return image;
        }
    }

    /// <summary>The links from <see cref="Top"/> down to <see cref="Base"/>.</summary>
    public IEnumerable<BlockChild> Links
    {
        get
        {
            for (BlockNode node = Top; !ReferenceEquals(node, Base); node = node.ChainChild!.Node) yield return node.ChainChild!;
        }
    }

    /// <summary>Checks the arguments in the reference's order.</summary>
    /// <exception cref="BlockException">The first argument that is wrong.</exception>
    public static CommitPlan Make(BlockNode device, CommitOptions options)
    {
        if (options.TopNode is not null && options.Top is not null) throw Invalid("'top-node' and 'top' are mutually exclusive");
        BlockNode top = FindTop(device, options);
        if (options.BaseNode is not null && options.Base is not null) throw Invalid("'base-node' and 'base' are mutually exclusive");
        BlockNode receiver = FindBase(device, top, options);
        foreach (BlockNode node in Chain(device, receiver)) BlockGraph.RequireUnblocked(node);
        if (ReferenceEquals(top, receiver)) throw Invalid("cannot commit an image into itself");

        bool isDevice = ReferenceEquals(top.SkipFilters(), device.SkipFilters());
        bool isWritten = (top.CumulativePermissions & BlockPermissions.Write) != 0;
        if ((isDevice || isWritten) && options.BackingFile is not null)
        {
            throw Invalid(isDevice
                ? "'backing-file' specified, but 'top' is the active layer"
                : "'backing-file' specified, but 'top' has a writer on it");
        }

        return new CommitPlan(top, receiver, isDevice || isWritten);
    }

    private static BlockNode FindTop(BlockNode device, CommitOptions options)
    {
        if (options.TopNode is { } nodeName)
        {
            BlockNode node = device.Graph.FindNode(nodeName) ?? throw NoSuchNode(nodeName);
            return Chain(device, null).Contains(node) ? node : throw Invalid($"'{nodeName}' is not in this backing file chain");
        }

        if (options.Top is not { } name || name == device.Filename) return device;
        return BackingChain.FindImage(device, name) ?? throw Invalid($"Top image file {name} not found");
    }

    private static BlockNode FindBase(BlockNode device, BlockNode top, CommitOptions options)
    {
        if (options.BaseNode is { } nodeName)
        {
            BlockNode node = device.Graph.FindNode(nodeName) ?? throw NoSuchNode(nodeName);
            return Chain(top, null).Contains(node) ? node : throw Invalid($"'{nodeName}' is not in this backing file chain");
        }

        if (options.Base is { } name)
        {
            return BackingChain.FindImage(top, name)
                ?? throw new BlockException(BlockErrorKind.NotFound, $"Can't find '{name}' in the backing chain");
        }

        BlockNode last = top.SkipFilters();
        while (BackingChain.Next(last) is { } next) last = next;
        return last;
    }

    private static IEnumerable<BlockNode> Chain(BlockNode from, BlockNode? to)
    {
        for (BlockNode? node = from; node is not null; node = node.ChainChild?.Node)
        {
            yield return node;
            if (ReferenceEquals(node, to)) break;
        }
    }

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);

    private static BlockException NoSuchNode(string name)
        => new(BlockErrorKind.NotFound, $"Cannot find device='' nor node-name='{name}'");
}
