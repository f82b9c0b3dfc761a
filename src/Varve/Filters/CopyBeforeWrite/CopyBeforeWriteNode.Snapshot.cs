using Varve.Graph;
using Varve.IO;

namespace Varve.Filters.CopyBeforeWrite;

/// <content>The other side: the disk as it was, for <see cref="SnapshotAccessNode"/>.</content>
internal sealed partial class CopyBeforeWriteNode
{
    /// <summary>Reads old data.</summary>
    /// <exception cref="BlockException">EACCES: the snapshot is broken; EINVAL: the range is not kept, or was given up.</exception>
    internal async ValueTask ReadSnapshotAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        RequireAccess(offset, buffer.Length);
        while (!buffer.IsEmpty)
        {
            int done = await ReadPieceAsync(offset, buffer, cancellationToken).ConfigureAwait(false);
            offset += done;
            buffer = buffer[done..];
        }

        RequireWhole();
    }

    /// <summary>What is known about old data: zeros, or data.</summary>
    /// <exception cref="BlockException">As <see cref="ReadSnapshotAsync"/>; the first byte decides.</exception>
    internal async ValueTask<BlockStatus> GetSnapshotStatusAsync(long offset, long length, bool precise, CancellationToken cancellationToken)
    {
        RequireAccess(offset, 1);
        if (_accessible.TryFindDirty(offset, offset + length, out _, out long accessible)) length = Math.Min(length, accessible);
        TrackedRequest reader = await _requests.EnterAsync(offset, length, serialising: false).ConfigureAwait(false);
        try
        {
            (bool isCopied, long run) = RunAt(offset, length);
            BlockRun status = await ChainStatus.AboveAsync(isCopied ? Target : Below, null, offset, run, precise, cancellationToken).ConfigureAwait(false);
            RequireWhole();
            return new BlockStatus(
                BlockStatusFlags.Allocated | (status.IsZero ? BlockStatusFlags.Zero : BlockStatusFlags.Data),
                status.Length > 0 ? Math.Min(run, status.Length) : run);
        }
        finally
        {
            _requests.Exit(reader);
        }
    }

    /// <summary>Gives old data up: it is neither kept nor read from now on, and what the target has of it is discarded.</summary>
    /// <remarks>Whole clusters; ragged edges are kept.</remarks>
    internal async ValueTask DiscardSnapshotAsync(long offset, long length, CancellationToken cancellationToken)
    {
        long start = Align.Up(offset, Cluster), end = offset + length >= SnapshotLength ? SnapshotLength : Align.Down(offset + length, Cluster);
        if (start >= end) return;
        TrackedRequest alone = await _requests.EnterAsync(start, end - start, serialising: true).ConfigureAwait(false);
        try
        {
            _accessible.Unmark(start, end - start);
            _toCopy.Unmark(start, end - start);
            for (long at = start; _copied.TryFindDirty(at, end, out long run, out long bytes); at = run + bytes)
            {
                _copied.Unmark(run, bytes);
                await Target.DiscardAsync(run, bytes, cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            _requests.Exit(alone);
        }
    }

    private async ValueTask<int> ReadPieceAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        long length = Math.Min(buffer.Length, IOBuffer.MaxTransfer);   // a guest's write waits for no longer a read
        (bool isCopied, long run) = RunAt(offset, length);
        if (isCopied)
        {
            await Target.ReadAsync(offset, buffer[..(int)run], cancellationToken).ConfigureAwait(false);
            return (int)run;
        }

        TrackedRequest reader = await _requests.EnterAsync(offset, length, serialising: false).ConfigureAwait(false);
        try
        {
            (isCopied, run) = RunAt(offset, length);
            await (isCopied ? Target : Below).ReadAsync(offset, buffer[..(int)run], cancellationToken).ConfigureAwait(false);
            return (int)run;
        }
        finally
        {
            _requests.Exit(reader);
        }
    }

    /// <summary>Whether the target has the data at an offset, and how far that holds.</summary>
    private (bool IsCopied, long Length) RunAt(long offset, long length)
        => !_copied.TryFindDirty(offset, offset + length, out long run, out long bytes) ? (false, length)
            : run == offset ? (true, bytes)
            : (false, run - offset);

    private void RequireAccess(long offset, long length)
    {
        RequireWhole();
        if (length == 0) return;
        if (_accessible.TryFindDirty(offset, offset + length, out long run, out long bytes) && run == offset && bytes == length) return;
        throw new BlockException(BlockErrorKind.Invalid, Errno.Text(Errno.EINVAL)) { NodeName = NodeName, Offset = offset, Errno = Errno.EINVAL };
    }

    private void RequireWhole()
    {
        if (_failure is not { } failure) return;
        throw new BlockException(BlockErrorKind.Denied, Errno.Text(Errno.EACCES), failure) { NodeName = NodeName, Errno = Errno.EACCES };
    }
}
