using System.Diagnostics.CodeAnalysis;

namespace Varve.Graph;

/// <summary>Throws of the request path, kept out of its hot methods.</summary>
internal static class BlockThrow
{
    [DoesNotReturn]
    public static void OutOfRange(BlockNode node, long offset, long length)
        => throw new BlockException(
            BlockErrorKind.Io, $"Request of {length} bytes at offset {offset} does not end inside node '{node.NodeName}' of {node.Length} bytes")
        {
            NodeName = node.NodeName,
            Offset = offset,
        };

    [DoesNotReturn]
    public static void ReadOnly(BlockNode node)
        => throw new BlockException(BlockErrorKind.ReadOnly, $"Node '{node.NodeName}' is read only")
        {
            NodeName = node.NodeName,
            Errno = Errno.EPERM,
        };
}
