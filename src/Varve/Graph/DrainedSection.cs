namespace Varve.Graph;

/// <summary>A time during which no request is in a part of the graph. Disposing lets requests go on.</summary>
internal sealed class DrainedSection : IDisposable
{
    private readonly List<BlockBackend> _backends;
    private readonly List<BlockNode> _nodes;

    private DrainedSection(List<BlockBackend> backends, List<BlockNode> nodes)
    {
        _backends = backends;
        _nodes = nodes;
    }

    /// <summary>Quiesces every backend that can reach one of <paramref name="nodes"/>, and waits until their requests are done.</summary>
    public static async ValueTask<DrainedSection> BeginAsync(IEnumerable<BlockNode> nodes)
    {
        var backends = new List<BlockBackend>();
        var above = new HashSet<BlockNode>();
        foreach (BlockNode node in nodes) CollectAbove(node, above, backends);
        var touched = new HashSet<BlockNode>(above);
        foreach (BlockNode node in above) CollectBelow(node, touched);

        var section = new DrainedSection(backends, [.. touched]);
        foreach (BlockBackend backend in backends) backend.Quiesce();
        foreach (BlockNode node in section._nodes) node.OnDrainBegin();
        foreach (BlockBackend backend in backends) await backend.WaitIdleAsync().ConfigureAwait(false);
        foreach (BlockNode node in section._nodes)
        {
            while (node.DrainPoll() is { } busy) await busy.ConfigureAwait(false);
        }

        return section;
    }

    public void Dispose()
    {
        foreach (BlockNode node in _nodes) node.OnDrainEnd();
        foreach (BlockBackend backend in _backends) backend.Resume();
    }

    private static void CollectAbove(BlockNode node, HashSet<BlockNode> nodes, List<BlockBackend> backends)
    {
        if (!nodes.Add(node)) return;
        foreach (BlockChild edge in node.Parents)
        {
            if (edge.Parent is BlockNode parent) CollectAbove(parent, nodes, backends);
            else if (edge.Parent is BlockBackend backend && !backends.Contains(backend)) backends.Add(backend);
        }
    }

    private static void CollectBelow(BlockNode node, HashSet<BlockNode> nodes)
    {
        foreach (BlockChild child in node.Children)
        {
            if (nodes.Add(child.Node)) CollectBelow(child.Node, nodes);
        }
    }
}
