using Varve.Graph;

namespace Varve.Filters.BlkLogWrites;

/// <summary>Does each change below, then records it. A flush is recorded before later writes can be.</summary>
internal sealed class BlkLogWritesNode(NodeOpening opening) : FilterNode(opening)
{
    private WriteLog? _log;

    public override int RequestAlignment => _log?.SectorSize ?? 1;

    /// <summary>Takes the log into use, once both children are there.</summary>
    internal void UseLog(WriteLog log)
    {
        _log = log;
        TrackBecauseOfAlignment();
    }

    public override (BlockPermissions Needed, BlockPermissions Shared) GetChildPermissions(
        string name, ChildRole role, BlockPermissions needed, BlockPermissions shared, bool readOnly)
        => name == "log"
            ? (readOnly ? BlockPermissions.ConsistentRead : BlockPermissions.ConsistentRead | BlockPermissions.Write | BlockPermissions.Resize,
                BlockPermissions.ConsistentRead | BlockPermissions.WriteUnchanged)
            : base.GetChildPermissions(name, role, needed, shared, readOnly);

    public override ValueTask CloseAsync() => _log is null || IsReadOnly ? default : _log.FinishAsync();

    protected override async ValueTask WriteCoreAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        await Below.WriteAsync(offset, buffer, flags, cancellationToken).ConfigureAwait(false);
        await _log!.AppendAsync(
            offset, buffer.Length, (flags & WriteFlags.Fua) != 0 ? LogEntryFlags.Fua : LogEntryFlags.None, buffer, cancellationToken).ConfigureAwait(false);
    }

    protected override async ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        await Below.WriteZeroesAsync(offset, length, flags, cancellationToken).ConfigureAwait(false);
        await _log!.AppendAsync(
            offset, length, (flags & ZeroFlags.Fua) != 0 ? LogEntryFlags.Fua : LogEntryFlags.None, default, cancellationToken).ConfigureAwait(false);
    }

    protected override async ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        await Below.DiscardAsync(offset, length, cancellationToken).ConfigureAwait(false);
        await _log!.AppendAsync(offset, length, LogEntryFlags.Discard, default, cancellationToken).ConfigureAwait(false);
    }

    protected override async ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        await base.FlushCoreAsync(cancellationToken).ConfigureAwait(false);
        await _log!.AppendAsync(0, 0, LogEntryFlags.Flush, default, cancellationToken).ConfigureAwait(false);
    }
}
