using System.Runtime.CompilerServices;
using Varve.Bitmaps;
using Varve.IO;
namespace Varve.Graph;

/// <content>The request path: what every node does around its driver, and the members drivers implement.</content>
/// <remarks>
/// A request that needs nothing special goes straight to the driver: no state machine, nothing allocated, no lock. What is special:
/// a driver with an alignment, a node whose overlapping requests must be serialised, zero detection, FUA on a driver without it.
/// </remarks>
internal abstract partial class BlockNode
{
    private long _highestWrite;
    private RequestTracker? _tracker;
    private int _trackingUsers;

    /// <summary>Orders overlapping requests, where something needs it; null otherwise, which is the fast path.</summary>
    internal RequestTracker? Tracker => _tracker;

    /// <summary>Which write flags the driver honours itself; the others are emulated here, or refused: nobody compresses for it.</summary>
    protected virtual WriteFlags SupportedWriteFlags => WriteFlags.Unchanged;

    /// <summary>Which zero flags the driver honours itself.</summary>
    protected virtual ZeroFlags SupportedZeroFlags => ZeroFlags.Unchanged | ZeroFlags.MayUnmap | ZeroFlags.NoFallback;

    // ---- For drivers

    /// <summary>Fills <paramref name="buffer"/>; offset, length and buffer address are aligned and the range ends inside the node.</summary>
    protected abstract ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken);

    /// <summary>Writes <paramref name="buffer"/>; may begin or end past the end of a node that can grow.</summary>
    protected virtual ValueTask WriteCoreAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
        => throw new BlockException(BlockErrorKind.Unsupported, $"Driver '{Driver.Name}' cannot write") { NodeName = NodeName };

    /// <summary>Makes a range read as zeros, or throws <see cref="BlockErrorKind.Unsupported"/> to have zeros written instead.</summary>
    protected virtual ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => throw new BlockException(BlockErrorKind.Unsupported, Errno.Text(Errno.EOPNOTSUPP)) { NodeName = NodeName };

    /// <summary>Says the content is no longer needed. A driver that cannot use the hint ignores it.</summary>
    protected virtual ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken) => default;

    /// <summary>Makes everything that completed before durable. Formats write their caches, then flush their children.</summary>
    protected virtual ValueTask FlushCoreAsync(CancellationToken cancellationToken) => default;

    /// <summary>The status of a run that begins at <paramref name="offset"/>; the range ends inside the node and is not empty.</summary>
    /// <param name="offset">Bytes.</param>
    /// <param name="length">Bytes the caller is interested in; the answer may be shorter, not longer.</param>
    /// <param name="precise">False when the caller asks only what is allocated, not what reads as zeros.</param>
    /// <param name="cancellationToken">Ends waiting.</param>
    protected virtual ValueTask<BlockStatus> GetStatusCoreAsync(
        long offset, long length, bool precise, CancellationToken cancellationToken)
        => new(new BlockStatus(BlockStatusFlags.Data | BlockStatusFlags.Allocated, length));

    /// <summary>Changes the node's length to exactly <paramref name="length"/> bytes; new bytes read as zeros.</summary>
    protected virtual ValueTask ResizeCoreAsync(
        long length, PreallocationMode preallocation, CancellationToken cancellationToken)
        => throw new BlockException(BlockErrorKind.Unsupported, "Image format driver does not support resize") { NodeName = NodeName };

    // ---- For everybody else: BlockBackend, parent nodes, jobs inside a backend's request

    /// <summary>Fills <paramref name="buffer"/>; what lies past the end of the node reads as zeros.</summary>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => RequestAlignment == 1 && offset + buffer.Length <= Length
            ? ReadCoreAsync(offset, buffer, cancellationToken)
            : ReadSlowAsync(offset, buffer, cancellationToken);

    /// <summary>Writes <paramref name="buffer"/>. Done when later reads see it; durable after a flush, or at once with FUA.</summary>
    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        NoteWrite(offset + buffer.Length);
        return _tracker is null && Bitmaps.Marked is null && RequestAlignment == 1 && (flags & ~SupportedWriteFlags) == 0
               && Settings.DetectZeroes == DetectZeroesMode.Off
            ? WriteCoreAsync(offset, buffer, flags, cancellationToken)
            : WriteSlowAsync(offset, buffer, flags, cancellationToken);
    }

    /// <summary>Makes a range read as zeros, storing as little as the driver can.</summary>
    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        NoteWrite(offset + length);
        return WriteZeroesSlowAsync(offset, length, flags, cancellationToken);
    }

    /// <summary>Where the write that reached furthest into the node ended, since it was opened (QMP <c>wr_highest_offset</c>).</summary>
    public long HighestWrite => Volatile.Read(ref _highestWrite);

    // Two writes at once may leave the lower end; the next one above it puts that right. Not worth an interlocked operation a write.
    private void NoteWrite(long end)
    {
        if (end > _highestWrite) Volatile.Write(ref _highestWrite, end);
    }

    /// <summary>Says the content is no longer needed; afterwards it reads as anything. Ragged edges are kept.</summary>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken)
    {
        if (!Settings.Discard) return default;
        long start = Align.Up(offset, RequestAlignment);
        long end = Align.Down(Math.Min(offset + length, Length), RequestAlignment);
        return start >= end ? default : DiscardSlowAsync(start, end - start, cancellationToken);
    }

    /// <summary>Makes everything that completed before durable; nothing under <c>cache.no-flush</c>.</summary>
    public ValueTask FlushAsync(CancellationToken cancellationToken) => FlushCoreAsync(cancellationToken);

    /// <summary>Has the host begin to write to storage what large writes have left in its cache. Makes nothing durable, but a later flush shorter, and
    /// does not fail.</summary>
    internal virtual async ValueTask BeginWritebackAsync()
    {
        for (int i = 0; i < Children.Count; i++)
        {
            if ((Children[i].Role & ChildRole.Cow) == 0) await Children[i].Node.BeginWritebackAsync().ConfigureAwait(false);
        }
    }

    /// <summary>The status of a run at <paramref name="offset"/>, in this node alone (backing images not consulted).</summary>
    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, bool precise, CancellationToken cancellationToken)
    {
        long left = Length - offset;
        if (left <= 0) return new(new BlockStatus(BlockStatusFlags.EndOfFile | BlockStatusFlags.Zero, 0));
        return left > length
            ? GetStatusCoreAsync(offset, length, precise, cancellationToken)
            : GetStatusToEndAsync(offset, left, precise, cancellationToken);
    }

    /// <summary>Changes the length to exactly <paramref name="length"/> bytes.</summary>
    public ValueTask ResizeAsync(long length, PreallocationMode preallocation, CancellationToken cancellationToken)
    {
        if (IsReadOnly) throw new BlockException(BlockErrorKind.ReadOnly, "Image is read-only") { NodeName = NodeName, Errno = Errno.EACCES };
        return Bitmaps.Any
            ? ResizeWithBitmapsAsync(length, preallocation, cancellationToken)
            : ResizeCoreAsync(length, preallocation, cancellationToken);
    }

    /// <summary>From now on every write of this node is tracked, so that copy-on-read can be serialised against it. Drained only.</summary>
    internal void StartTracking()
    {
        _trackingUsers++;
        _tracker ??= new RequestTracker();
    }

    /// <summary>Takes one <see cref="StartTracking"/> back. Drained only.</summary>
    internal void StopTracking()
    {
        if (--_trackingUsers == 0) _tracker = null;
    }

    /// <summary>From now on every write, and whatever else changes the content, is marked when it is done. Drained only.</summary>
    internal void StartDirtyTracking(DirtyBitmap bitmap)
    {
        StartTracking();
        Bitmaps.Add(bitmap);
    }

    /// <summary>Takes <see cref="StartDirtyTracking"/> back. Drained only.</summary>
    internal void StopDirtyTracking(DirtyBitmap bitmap)
    {
        Bitmaps.Remove(bitmap);
        StopTracking();
    }

    /// <summary>Drivers with an alignment call it once they know it: read-modify-write needs tracking for good.</summary>
    protected void TrackBecauseOfAlignment()
    {
        if (RequestAlignment > 1) StartTracking();
    }

    // ---- Slow paths

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask ReadSlowAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        long readable = Math.Clamp(Length - offset, 0, buffer.Length);
        if (readable < buffer.Length) buffer.Span[(int)readable..].Clear();
        buffer = buffer[..(int)readable];
        if (buffer.IsEmpty) return;

        int alignment = RequestAlignment;
        if (alignment == 1 || (Align.Is(offset, alignment) && Align.Is(buffer.Length, alignment) && IOBuffer.IsAligned(buffer, alignment)))
        {
            await ReadCoreAsync(offset, buffer, cancellationToken).ConfigureAwait(false);
            return;
        }

        long start = Align.Down(offset, alignment);
        using IOBuffer wide = IOBuffer.Rent((int)(Align.Up(offset + buffer.Length, alignment) - start));
        await ReadCoreAsync(start, wide.Memory, cancellationToken).ConfigureAwait(false);
        wide.Memory.Slice((int)(offset - start), buffer.Length).CopyTo(buffer);
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask WriteSlowAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        if (buffer.IsEmpty) return;
        if ((flags & WriteFlags.Compressed & ~SupportedWriteFlags) != 0) throw BlockException.FromErrno(Errno.EOPNOTSUPP);
        if (Settings.DetectZeroes != DetectZeroesMode.Off && (flags & WriteFlags.Compressed) == 0 && ZeroScan.IsZero(buffer.Span))
        {
            ZeroFlags zero = (flags & WriteFlags.Fua) != 0 ? ZeroFlags.Fua : ZeroFlags.None;
            if ((flags & WriteFlags.Unchanged) != 0) zero |= ZeroFlags.Unchanged;
            if (Settings.DetectZeroes == DetectZeroesMode.Unmap) zero |= ZeroFlags.MayUnmap;
            await WriteZeroesSlowAsync(offset, buffer.Length, zero, cancellationToken).ConfigureAwait(false);
            return;
        }

        await WriteTrackedAsync(offset, buffer, flags, cancellationToken).ConfigureAwait(false);
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask ReadModifyWriteAsync(
        long offset, ReadOnlyMemory<byte> buffer, long start, long end, WriteFlags flags, CancellationToken cancellationToken)
    {
        int alignment = RequestAlignment;
        bool hasHead = offset > start, hasTail = offset + buffer.Length < end, isOneBlock = end - start == alignment;
        using IOBuffer wide = IOBuffer.Rent((int)(end - start));
        if (hasHead || (hasTail && isOneBlock))
        {
            await ReadEdgeAsync(start, wide.Memory[..alignment], hasHead, hasTail && isOneBlock, cancellationToken).ConfigureAwait(false);
        }

        if (hasTail && !isOneBlock)
        {
            await ReadEdgeAsync(end - alignment, wide.Memory[^alignment..], isHead: false, isTail: true, cancellationToken).ConfigureAwait(false);
        }

        buffer.CopyTo(wide.Memory[(int)(offset - start)..]);
        await WriteCoreAsync(start, wide.Memory, flags, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Reads a block that a write covers in part.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask ReadEdgeAsync(long edge, Memory<byte> block, bool isHead, bool isTail, CancellationToken cancellationToken)
    {
        if (isHead) await DebugEventAsync(BlkdebugEvent.PwritevRmwHead).ConfigureAwait(false);
        if (isTail) await DebugEventAsync(BlkdebugEvent.PwritevRmwTail).ConfigureAwait(false);
        await ReadSlowAsync(edge, block, cancellationToken).ConfigureAwait(false);
        if (isHead) await DebugEventAsync(BlkdebugEvent.PwritevRmwAfterHead).ConfigureAwait(false);
        if (isTail) await DebugEventAsync(BlkdebugEvent.PwritevRmwAfterTail).ConfigureAwait(false);
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask WriteZeroesSlowAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        if (length == 0) return;
        if (!Settings.Discard) flags &= ~ZeroFlags.MayUnmap;
        int alignment = RequestAlignment;
        long start = Align.Up(offset, alignment), end = Align.Down(offset + length, alignment);

        if (start >= end)
        {
            await WriteExplicitZeroesAsync(offset, length, flags, cancellationToken).ConfigureAwait(false);
            return;
        }

        if (offset < start) await WriteExplicitZeroesAsync(offset, start - offset, flags, cancellationToken).ConfigureAwait(false);
        await WriteAlignedZeroesAsync(start, end - start, flags, cancellationToken).ConfigureAwait(false);
        if (end < offset + length) await WriteExplicitZeroesAsync(end, offset + length - end, flags, cancellationToken).ConfigureAwait(false);
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask WriteAlignedZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        RequestTracker? tracker = _tracker;
        TrackedRequest? tracked = tracker is null ? null : await tracker.EnterAsync(offset, length, serialising: false).ConfigureAwait(false);
        bool done = true;
        try
        {
            await WriteZeroesCoreAsync(offset, length, flags & SupportedZeroFlags, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e) when (e.Kind == BlockErrorKind.Unsupported && (flags & ZeroFlags.NoFallback) == 0)
        {
            done = false;
        }
        finally
        {
            MarkDirty(offset, length);
            if (tracked is not null) tracker!.Exit(tracked);
        }

        if (!done)
        {
            await WriteExplicitZeroesAsync(offset, length, flags, cancellationToken).ConfigureAwait(false);
        }
        else if ((flags & ZeroFlags.Fua & ~SupportedZeroFlags) != 0)
        {
            await FlushCoreAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask WriteExplicitZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        if ((flags & ZeroFlags.NoFallback) != 0 && Align.Is(offset, RequestAlignment) && Align.Is(length, RequestAlignment))
        {
            throw new BlockException(BlockErrorKind.Unsupported, Errno.Text(Errno.EOPNOTSUPP)) { NodeName = NodeName };
        }

        WriteFlags write = (flags & ZeroFlags.Unchanged) != 0 ? WriteFlags.Unchanged : WriteFlags.None;
        using IOBuffer zeros = IOBuffer.Rent((int)Math.Min(length, IOBuffer.MaxTransfer));
        zeros.Memory.Span.Clear();
        while (length > 0)
        {
            int piece = (int)Math.Min(length, zeros.Memory.Length);
            await WriteTrackedAsync(offset, zeros.Memory[..piece], write, cancellationToken).ConfigureAwait(false);
            offset += piece;
            length -= piece;
        }

        if ((flags & ZeroFlags.Fua) != 0) await FlushCoreAsync(cancellationToken).ConfigureAwait(false);   // once, not for every piece
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask WriteTrackedAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        int alignment = RequestAlignment;
        bool aligned = Align.Is(offset, alignment) && Align.Is(buffer.Length, alignment);
        long start = Align.Down(offset, alignment), end = Align.Up(offset + buffer.Length, alignment);
        RequestTracker? tracker = _tracker;
        TrackedRequest? tracked = tracker is null
            ? null
            : await tracker.EnterAsync(start, end - start, serialising: !aligned).ConfigureAwait(false);
        try
        {
            if (aligned && IOBuffer.IsAligned(buffer, alignment))
            {
                await WriteCoreAsync(offset, buffer, flags & SupportedWriteFlags, cancellationToken).ConfigureAwait(false);
            }
            else
            {
                await ReadModifyWriteAsync(offset, buffer, start, end, flags & SupportedWriteFlags, cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            MarkDirty(start, end - start);
            if (tracked is not null) tracker!.Exit(tracked);
        }

        if ((flags & WriteFlags.Fua & ~SupportedWriteFlags) != 0) await FlushCoreAsync(cancellationToken).ConfigureAwait(false);
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask DiscardSlowAsync(long offset, long length, CancellationToken cancellationToken)
    {
        RequestTracker? tracker = _tracker;
        TrackedRequest? tracked = tracker is null ? null : await tracker.EnterAsync(offset, length, serialising: false).ConfigureAwait(false);
        try
        {
            await DiscardCoreAsync(offset, length, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            MarkDirty(offset, length);
            if (tracked is not null) tracker!.Exit(tracked);
        }
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    private async ValueTask<BlockStatus> GetStatusToEndAsync(long offset, long left, bool precise, CancellationToken cancellationToken)
    {
        BlockStatus status = await GetStatusCoreAsync(offset, left, precise, cancellationToken).ConfigureAwait(false);
        return status.Length == left ? status with { Flags = status.Flags | BlockStatusFlags.EndOfFile } : status;
    }
}
