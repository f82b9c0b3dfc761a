using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;

namespace Varve.Formats.Qcow2;

/// <content>Machine state: stored like guest data, from the first guest offset on that no L1 entry of the disk maps.</content>
internal sealed partial class Qcow2Image
{
    protected internal override bool KeepsVmState => true;

    /// <remarks>Behind the last L1 entry the disk needs.</remarks>
    public override long VmStateOffset => (_header.L1EntriesFor(_header.VirtualSize) * _header.L2Entries) << _header.ClusterBits;

    /// <inheritdoc/>
    protected internal override ValueTask ReadVmStateAsync(long position, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        CheckVmState(position, buffer.Length);
        return ReadPiecesAsync(VmStateOffset + position, buffer, cancellationToken);
    }

    /// <inheritdoc/>
    protected internal override async ValueTask WriteVmStateAsync(long position, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        CheckVmState(position, buffer.Length);
        await PrepareForWritingAsync(cancellationToken).ConfigureAwait(false);
        long end = VmStateOffset + position + buffer.Length;
        await GrowL1Async((int)Align.Count(end, _l2.BytesPerTable), cancellationToken).ConfigureAwait(false);
        await WritePiecesAsync(VmStateOffset + position, buffer, cancellationToken).ConfigureAwait(false);
    }

    private void CheckVmState(long position, int length)
    {
        if (_isUnusable) throw Unusable();
        if (position < 0 || position > Qcow2Header.MaxL1Bytes / L1EntryBytes * _l2.BytesPerTable - VmStateOffset - length)
        {
            throw BlockException.FromErrno(Errno.EFBIG);
        }
    }

    /// <summary>A snapshot has it now; in the active tables it would only make the next one slow.</summary>
    private async ValueTask GiveUpVmStateAsync(long size, CancellationToken cancellationToken)
    {
        if (size <= 0) return;
        long start = VmStateOffset, end = Math.Min(start + Align.Up(size, ClusterSize), _l2.L1.Count * _l2.BytesPerTable);
        int ticket = EnterRequest();
        try
        {
            await ChangeEntriesAsync(start, end, EntryChange.Forget, DiscardReason.Other, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Reclaim.Exit(ticket);
        }
    }
}
