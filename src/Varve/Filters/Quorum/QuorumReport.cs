using Varve.Graph;

namespace Varve.Filters.Quorum;

/// <summary>What kind of request it was (QMP <c>QuorumOpType</c>).</summary>
internal enum QuorumOperation { Read, Write, Flush }

/// <summary>A child that failed or held other data than the others (<c>QUORUM_REPORT_BAD</c>).</summary>
/// <param name="Operation">What was done.</param>
/// <param name="NodeName">The child's node.</param>
/// <param name="Error">The error it failed with; null where its data was wrong.</param>
/// <param name="Offset">Bytes.</param>
/// <param name="Length">Bytes.</param>
internal sealed record QuorumBadChild(QuorumOperation Operation, string NodeName, string? Error, long Offset, long Length);

/// <summary>No quorum was reached (<c>QUORUM_FAILURE</c>).</summary>
/// <param name="Node">The quorum's node.</param>
/// <param name="Offset">Bytes.</param>
/// <param name="Length">Bytes.</param>
internal sealed record QuorumFailure(BlockNode Node, long Offset, long Length);

/// <summary>What quorums tell a monitor.</summary>
internal sealed class QuorumReports
{
    public event Action<QuorumBadChild>? BadChild;

    public event Action<QuorumFailure>? Failure;

    internal void Report(QuorumBadChild bad) => BadChild?.Invoke(bad);

    internal void Report(QuorumFailure failure) => Failure?.Invoke(failure);
}
