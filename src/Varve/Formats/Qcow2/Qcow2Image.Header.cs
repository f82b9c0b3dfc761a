using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

// Recording another backing file: what holds at every instant
//   1. Everything the guest wrote, and everything a job copied up, is durable before the header stops naming the image it came from.
//   2. The header on disk is the old or the new one, whatever sectors a power loss keeps: HeaderRewrite says why.
//   3. Memory takes the new header over when it is durable, not before. A write or flush that fails puts the old first sector
//      back; if that fails too, the header is in doubt: it is written again before anything else is (_headerIsUncertain).

/// <content>The header cluster as a whole: extensions and the recorded backing file.</content>
internal sealed partial class Qcow2Image
{
    /// <inheritdoc/>
    public override async ValueTask ChangeBackingFileAsync(string? backingFile, string? backingFormat, CancellationToken cancellationToken)
    {
        if (IsReadOnly) BlockThrow.ReadOnly(this);
        if (backingFile is null && backingFormat is not null) throw BlockException.FromErrno(Errno.EINVAL);
        if (string.IsNullOrEmpty(backingFile)) (backingFile, backingFormat) = (null, null);
        if (backingFile is not null && (_header.Autoclear & Qcow2Autoclear.RawExternalData) != 0) throw BlockException.FromErrno(Errno.EINVAL);

        await FlushAsync(cancellationToken).ConfigureAwait(false);
        await RewriteHeaderAsync(current => HeaderRewrite.Plan(current, backingFile, backingFormat), cancellationToken).ConfigureAwait(false);
        (RecordedBackingFile, RecordedBackingFormat) = (backingFile, backingFormat);
    }

    /// <summary>Gives an extension other data, or removes it; old or new at every instant, durable when done.</summary>
    /// <remarks>What the data refers to is durable before.</remarks>
    internal ValueTask ChangeExtensionAsync(uint type, byte[]? data, CancellationToken cancellationToken)
        => RewriteHeaderAsync(current => HeaderRewrite.PlanExtension(current, type, data), cancellationToken);

    private async ValueTask RewriteHeaderAsync(Func<HeaderCluster, IReadOnlyList<HeaderLayout>> plan, CancellationToken cancellationToken)
    {
        using AsyncLock.Holder held = await _headerLock.EnterAsync().ConfigureAwait(false);
        HeaderCluster current = await ReadHeaderClusterAsync(cancellationToken).ConfigureAwait(false);
        IReadOnlyList<HeaderLayout> steps = plan(current);
        cancellationToken.ThrowIfCancellationRequested();
        HeaderLayout before = HeaderLayout.Of(current);
        foreach (HeaderLayout step in steps)
        {
            HeaderLayout next = step.Over(before);
            await WriteLayoutAsync(before, next).ConfigureAwait(false);
            before = next;
        }
    }

    /// <summary>Reads the header cluster; its fixed part is memory's, which is right even where a write left the disk's in doubt.</summary>
    internal async ValueTask<HeaderCluster> ReadHeaderClusterAsync(CancellationToken cancellationToken)
    {
        byte[] bytes = new byte[ClusterSize];
        await _file.Node.ReadAsync(0, bytes, cancellationToken).ConfigureAwait(false);
        _settledSector?.CopyTo(bytes, 0);
        _header.WriteTo(bytes);
        HeaderCluster.TryRead(bytes, out HeaderCluster? cluster)?.Throw(NodeName);
        return cluster!;
    }

    /// <summary>One step of a rewrite: the tail, durable, then the first sector, durable; then memory follows.</summary>
    private async ValueTask WriteLayoutAsync(HeaderLayout before, HeaderLayout next)
    {
        try
        {
            if (await WriteChangedTailAsync(before.Bytes, next.Bytes).ConfigureAwait(false))
            {
                await _file.Node.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            }

            await _file.Node.WriteAsync(0, next.Bytes.AsMemory(0, SectorBytes), WriteFlags.None, CancellationToken.None).ConfigureAwait(false);
            await _file.Node.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        }
        catch (BlockException)
        {
            await PutBackAsync(before.Bytes, next.Bytes).ConfigureAwait(false);
            throw;
        }

        Qcow2Header.TryRead(next.Bytes, out Qcow2Header header)?.Throw(NodeName);
        _settledSector = null;
        AdoptHeader(header);
    }

    /// <summary>Undoes a step that failed. Where even that fails nothing is lost: the first sector is written again later, and what
    /// was put into the tail is not looked at.</summary>
    private async ValueTask PutBackAsync(byte[] before, byte[] after)
    {
        _settledSector = before[..SectorBytes];
        _headerIsUncertain = true;
        if (!await WriteSettledSectorAsync().ConfigureAwait(false) && !await IsSettledSectorOnDiskAsync().ConfigureAwait(false)) return;
        _settledSector = null;
        _headerIsUncertain = false;
        try
        {
            await WriteChangedTailAsync(after, before).ConfigureAwait(false);
        }
        catch (BlockException)
        {
            // The old first sector is durable, and it does not look at what was put into the tail.
        }
    }

    private async ValueTask<bool> WriteSettledSectorAsync()
    {
        try
        {
            await _file.Node.WriteAsync(0, _settledSector, WriteFlags.None, CancellationToken.None).ConfigureAwait(false);
            await _file.Node.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            return true;
        }
        catch (BlockException)
        {
            return false;   // the caller reports the first failure and keeps the doubt
        }
    }

    /// <summary>A disk that refuses writes of the first sector still has the old one: read back and flushed, that is certain.</summary>
    private async ValueTask<bool> IsSettledSectorOnDiskAsync()
    {
        try
        {
            byte[] found = new byte[SectorBytes];
            await _file.Node.ReadAsync(0, found, CancellationToken.None).ConfigureAwait(false);
            if (!found.AsSpan().SequenceEqual(_settledSector)) return false;
            await _file.Node.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            return true;
        }
        catch (BlockException)
        {
            return false;
        }
    }

    /// <summary>Writes the sectors behind the first that differ, in one write; false when none does.</summary>
    private async ValueTask<bool> WriteChangedTailAsync(byte[] before, byte[] after)
    {
        int start = SectorBytes + before.AsSpan(SectorBytes).CommonPrefixLength(after.AsSpan(SectorBytes));
        if (start == after.Length) return false;
        int end = after.Length;
        while (before[end - 1] == after[end - 1]) end--;
        start = (int)Align.Down(start, SectorBytes);
        end = (int)Align.Up(end, SectorBytes);
        await _file.Node.WriteAsync(start, after.AsMemory(start..end), WriteFlags.None, CancellationToken.None).ConfigureAwait(false);
        return true;
    }
}
