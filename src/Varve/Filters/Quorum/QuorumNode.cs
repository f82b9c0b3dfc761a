using Varve.Graph;
using Varve.IO;

namespace Varve.Filters.Quorum;

/// <summary>Writes to all children, and reads what enough of them agree on.</summary>
internal sealed partial class QuorumNode(NodeOpening opening, QuorumRules rules) : BlockNode(opening)
{
    /// <summary>What every child is to the quorum.</summary>
    internal const ChildRole ChildRoles = ChildRole.Data;

    private readonly Action<string>? _onMismatch = opening.Context.OnMismatch;
    private BlockNode[] _copies = [];

    public override long Length => _copies.Length == 0 ? 0 : _copies[0].Length;

    internal QuorumRules Rules => rules;

    protected override WriteFlags SupportedWriteFlags => WriteFlags.Fua | WriteFlags.Unchanged;

    protected override ZeroFlags SupportedZeroFlags => ZeroFlags.MayUnmap | ZeroFlags.NoFallback | ZeroFlags.Fua | ZeroFlags.Unchanged;

    public override void OnChildrenChanged() => _copies = [.. Children.Select(c => c.Node)];

    public override (BlockPermissions Needed, BlockPermissions Shared) GetChildPermissions(
        string name, ChildRole role, BlockPermissions needed, BlockPermissions shared, bool readOnly)
    {
        // Copies that somebody else changed would no longer be copies; a reader may be corrected.
        if (rules.Rewrites && !readOnly) needed |= BlockPermissions.Write;
        return (needed, shared & BlockPermissions.ConsistentRead);
    }

    /// <exception cref="BlockException">The children are not copies of one disk.</exception>
    internal void RequireSameLengths()
    {
        if (_copies.Any(c => c.Length != Length))
        {
            throw BlockException.FromErrno(Errno.EIO, "Could not refresh total sector count");
        }
    }

    protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => rules.ReadsFirst ? ReadFirstAsync(offset, buffer, cancellationToken) : ReadByVoteAsync(offset, buffer, cancellationToken);

    protected override ValueTask WriteCoreAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
        => DoOnAllAsync(QuorumOperation.Write, offset, buffer.Length, copy => copy.WriteAsync(offset, buffer, flags, cancellationToken));

    protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => DoOnAllAsync(QuorumOperation.Write, offset, length, copy => copy.WriteZeroesAsync(offset, length, flags & ~ZeroFlags.NoFallback, cancellationToken));

    protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken)
        => DoOnAllAsync(QuorumOperation.Flush, 0, Length, copy => copy.FlushAsync(cancellationToken));

    /// <summary>Zero where every child says so; data otherwise, since only a vote tells.</summary>
    protected override async ValueTask<BlockStatus> GetStatusCoreAsync(
        long offset, long length, bool precise, CancellationToken cancellationToken)
    {
        long zeros = length;
        foreach (BlockNode copy in _copies)
        {
            BlockRun run = await ChainStatus.AboveAsync(copy, null, offset, zeros, precise: true, cancellationToken).ConfigureAwait(false);
            if (!run.IsZero) return new(BlockStatusFlags.Data | BlockStatusFlags.Allocated, Math.Min(length, run.Length));
            zeros = Math.Min(zeros, run.Length);
        }

        return new(BlockStatusFlags.Zero | BlockStatusFlags.Allocated, zeros);
    }

    /// <summary>Does a request on all children at once; it succeeds where enough of them did.</summary>
    private async ValueTask DoOnAllAsync(QuorumOperation operation, long offset, long length, Func<BlockNode, ValueTask> request)
    {
        BlockException?[] failures = await TryOnAllAsync((copy, _) => request(copy)).ConfigureAwait(false);
        ReportFailures(operation, offset, length, failures);
        if (failures.Count(f => f is null) < rules.Threshold) throw NoQuorum(operation, offset, length, failures);
    }

    private Task<BlockException?[]> TryOnAllAsync(Func<BlockNode, int, ValueTask> request)
        => Task.WhenAll(_copies.Select(async (copy, index) =>
        {
            try
            {
                await request(copy, index).ConfigureAwait(false);
                return null;
            }
            catch (BlockException e)
            {
                return e;
            }
        }));

    private void ReportFailures(QuorumOperation operation, long offset, long length, BlockException?[] failures)
    {
        for (int i = 0; i < failures.Length; i++)
        {
            if (failures[i] is { } failure) Graph.Quorums.Report(new QuorumBadChild(operation, _copies[i].NodeName, Errno.Text(failure.Errno), offset, length));
        }
    }

    /// <summary>The error that most children failed with, as far as they agree.</summary>
    private BlockException NoQuorum(QuorumOperation operation, long offset, long length, BlockException?[] failures)
    {
        if (operation != QuorumOperation.Flush) Graph.Quorums.Report(new QuorumFailure(this, offset, length));
        int errno = failures.Where(f => f is not null).GroupBy(f => f!.Errno).OrderByDescending(g => g.Count()).FirstOrDefault()?.Key ?? Errno.EIO;
        return new BlockException(Errno.KindOf(errno), Errno.Text(errno)) { Errno = errno, NodeName = NodeName, Offset = offset };
    }
}
