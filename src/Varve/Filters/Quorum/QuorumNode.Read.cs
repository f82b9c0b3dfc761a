using Varve.Graph;
using Varve.IO;

namespace Varve.Filters.Quorum;

/// <content>Reading: the first child that works, or a vote.</content>
internal sealed partial class QuorumNode
{
    private async ValueTask ReadFirstAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        BlockException? last = null;
        foreach (BlockNode copy in _copies)
        {
            try
            {
                await copy.ReadAsync(offset, buffer, cancellationToken).ConfigureAwait(false);
                return;
            }
            catch (BlockException e)
            {
                last = e;
                Graph.Quorums.Report(new QuorumBadChild(QuorumOperation.Read, copy.NodeName, Errno.Text(e.Errno), offset, buffer.Length));
            }
        }

        throw last!;
    }

    private async ValueTask ReadByVoteAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        BlockNode[] copies = _copies;
        IOBuffer[] read = [.. copies.Select(_ => IOBuffer.Rent(buffer.Length))];
        try
        {
            BlockException?[] failures = await TryOnAllAsync(
                (copy, index) => copy.ReadAsync(offset, read[index].Memory, cancellationToken)).ConfigureAwait(false);
            ReportFailures(QuorumOperation.Read, offset, buffer.Length, failures);
            int[] voters = [.. Enumerable.Range(0, copies.Length).Where(i => failures[i] is null)];
            if (voters.Length < rules.Threshold) throw NoQuorum(QuorumOperation.Read, offset, buffer.Length, failures);
            int[] winners = Winners(voters, read);
            if (rules.Verifies && winners.Length < voters.Length) RefuseMismatch(offset, read);
            if (winners.Length < voters.Length) await HandleLosersAsync(offset, voters.Except(winners), winners.Length, read[winners[0]], cancellationToken).ConfigureAwait(false);
            if (winners.Length < rules.Threshold) throw NoQuorum(QuorumOperation.Read, offset, buffer.Length, failures);
            read[winners[0]].Memory.CopyTo(buffer);
        }
        finally
        {
            foreach (IOBuffer data in read) data.Dispose();
        }
    }

    /// <summary>The largest group of children with the same data; of two equally large ones, the one that has the first child.</summary>
    private static int[] Winners(int[] voters, IOBuffer[] read)
    {
        int[] best = [];
        foreach (int leader in voters)
        {
            int[] group = [.. voters.Where(v => read[v].Span.SequenceEqual(read[leader].Span))];
            if (group.Length > best.Length) best = group;
        }

        return best;
    }

    private async ValueTask HandleLosersAsync(
        long offset, IEnumerable<int> losers, int votes, IOBuffer right, CancellationToken cancellationToken)
    {
        foreach (int loser in losers)
        {
            Graph.Quorums.Report(new QuorumBadChild(QuorumOperation.Read, _copies[loser].NodeName, null, offset, right.Memory.Length));
            if (!rules.Rewrites || votes < rules.Threshold) continue;
            try
            {
                await _copies[loser].WriteAsync(offset, right.Memory, WriteFlags.None, cancellationToken).ConfigureAwait(false);
            }
            catch (BlockException)
            {
                // The read succeeds by the others' vote; the next one finds the child wrong again.
            }
        }
    }

    private void RefuseMismatch(long offset, IOBuffer[] read)
    {
        int same = read[0].Span.CommonPrefixLength(read[1].Span);
        string message = $"quorum: offset={offset} bytes={read[0].Memory.Length} contents mismatch at offset {offset + same}";
        _onMismatch?.Invoke(message);
        throw new BlockException(BlockErrorKind.Io, message) { NodeName = NodeName, Offset = offset + same };
    }
}
