using Varve.Graph;

namespace Varve.Qmp.Server;

/// <summary>Finds the node that an argument names.</summary>
internal static class NodeLookup
{
    /// <summary>By <c>device</c>, which may be a node's name where a device's is expected.</summary>
    public static BlockNode ByName(BlockGraph graph, string name) => ByName(graph, name, name);

    /// <summary>By a node's name; the error names both arguments, as the reference's does.</summary>
    public static BlockNode ByName(BlockGraph graph, string? device, string? nodeName)
        => (nodeName is null ? null : graph.FindNode(nodeName))
           ?? throw new BlockException(BlockErrorKind.NotFound, $"Cannot find device='{device}' nor node-name='{nodeName}'");
}
