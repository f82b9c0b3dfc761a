using Varve.Graph;

namespace Varve.Cli.Io;

/// <summary>What the open image holds itself, without what lies below it.</summary>
internal static class Allocation
{
    /// <summary>The first run of a range with one answer.</summary>
    public static ValueTask<BlockRun> FindAsync(BlockBackend image, long offset, long length, CancellationToken cancellationToken)
        => image.RunAsync(
            static (node, range, token) => ChainStatus.IsAllocatedAsync(node, range.Offset, range.Length, token),
            (Offset: offset, Length: length), cancellationToken);
}
