using System.Runtime.CompilerServices;
using Varve.Graph;
using Varve.IO;

namespace Varve.Filters.Throttle;

/// <summary>A node whose requests pass at the pace of its group.</summary>
internal sealed class ThrottleNode(NodeOpening opening) : FilterNode(opening)
{
    private ThrottleGroup _group = null!;
    private ThrottleMember _member = null!;

    /// <summary>The group; nodes of one group share its limits.</summary>
    public ThrottleGroup Group => _group;

    internal void Join(ThrottleGroup group)
    {
        _group = group;
        _member = group.Join();
    }

    public override void OnDrainBegin() => _group?.Release(_member);

    public override void OnDrainEnd() => _group?.Hold(_member);

    public override ValueTask CloseAsync()
    {
        _group.Leave(_member);
        return default;
    }

    protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        ValueTask turn = _group.EnterAsync(_member, isWrite: false, buffer.Length);
        return turn.IsCompletedSuccessfully ? base.ReadCoreAsync(offset, buffer, cancellationToken) : AfterAsync();

        [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
        async ValueTask AfterAsync()
        {
            await turn.ConfigureAwait(false);
            await base.ReadCoreAsync(offset, buffer, cancellationToken).ConfigureAwait(false);
        }
    }

    protected override async ValueTask WriteCoreAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        await _group.EnterAsync(_member, isWrite: true, buffer.Length).ConfigureAwait(false);
        await base.WriteCoreAsync(offset, buffer, flags, cancellationToken).ConfigureAwait(false);
    }

    protected override async ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        await _group.EnterAsync(_member, isWrite: true, length).ConfigureAwait(false);
        await base.WriteZeroesCoreAsync(offset, length, flags, cancellationToken).ConfigureAwait(false);
    }

    protected override async ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        await _group.EnterAsync(_member, isWrite: true, length).ConfigureAwait(false);
        await base.DiscardCoreAsync(offset, length, cancellationToken).ConfigureAwait(false);
    }
}
