using System.Runtime.CompilerServices;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

// An allocating write
//   1. Reserve: under the allocator's mutex, raise refcounts in memory and register the guest clusters as being allocated. Whoever
//      wants to change one of them waits until the registration ends; reads see the old mapping.
//   2. Write the data, and around it what the clusters showed before, without any lock.
//   3. Link: under the table lock, change the L2 entries in memory. The slice was pinned by 1, so this cannot fail.
// When 2 fails nothing was linked: the clusters go back and the guest still sees the old content.

/// <content>Writing.</content>
internal sealed partial class Qcow2Image
{
    protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        if (_isUnusable) throw Unusable();
        if (IsReadOnly) BlockThrow.ReadOnly(this);
        if ((flags & WriteFlags.Compressed) != 0) return WriteCompressedAsync(offset, buffer, cancellationToken);
        int ticket;
        long host;
        lock (TableLock)
        {
            Mapping mapping = _l2.Lookup(offset, buffer.Length);
            if (mapping.Kind != MappingKind.Data || !mapping.IsCopied || mapping.Length != buffer.Length || !_isPreparedForWriting) goto pieces;
            host = mapping.Host;
            if (!HasDataFile && MetadataMap.FindOverlap(host, buffer.Length) is not null) goto pieces;
            ticket = Reclaim.Enter();
        }

        ValueTask write;
        try
        {
            ValueTask announced = _file.Node.DebugEventAsync(BlkdebugEvent.WriteAio);
            write = announced.IsCompletedSuccessfully
                ? WriteDataAsync(host, offset, buffer, cancellationToken)
                : WriteAnnouncedAsync(announced, host, offset, buffer, cancellationToken);
        }
        catch
        {
            Reclaim.Exit(ticket);
            throw;
        }

        if (!write.IsCompletedSuccessfully) return ExitLaterAsync(write, ticket);
        write.GetAwaiter().GetResult();
        Reclaim.Exit(ticket);
        return default;

    pieces:
        return WritePiecesAsync(offset, buffer, cancellationToken);
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask WriteAnnouncedAsync(
        ValueTask announced, long host, long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        await announced.ConfigureAwait(false);
        await WriteDataAsync(host, offset, buffer, cancellationToken).ConfigureAwait(false);
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask WritePiecesAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        await PrepareForWritingAsync(cancellationToken).ConfigureAwait(false);
        int ticket = EnterRequest();
        try
        {
            while (!buffer.IsEmpty)
            {
                Mapping mapping = await MapAsync(offset, buffer.Length, cancellationToken, forWriting: true).ConfigureAwait(false);
                int done = mapping is { Kind: MappingKind.Data, IsCopied: true }
                    ? await WriteInPlaceAsync(mapping, offset, buffer[..(int)mapping.Length], cancellationToken).ConfigureAwait(false)
                    : await AllocateAndWriteAsync(offset, buffer, cancellationToken).ConfigureAwait(false);
                offset += done;
                buffer = buffer[done..];
            }
        }
        finally
        {
            Reclaim.Exit(ticket);
        }

        await RelieveReclaimAsync(cancellationToken).ConfigureAwait(false);
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    private async ValueTask<int> WriteInPlaceAsync(Mapping mapping, long offset, ReadOnlyMemory<byte> piece, CancellationToken cancellationToken)
    {
        await RefuseOverlapAsync(mapping.Host, piece.Length).ConfigureAwait(false);
        await _file.Node.DebugEventAsync(BlkdebugEvent.WriteAio).ConfigureAwait(false);
        await WriteDataAsync(mapping.Host, offset, piece, cancellationToken).ConfigureAwait(false);
        return piece.Length;
    }

    /// <summary>Writes into clusters that have none of their own yet, as many as lie together.</summary>
    /// <returns>Bytes written: at least one, or 0 when the mapping has changed meanwhile and must be looked up again.</returns>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    private async ValueTask<int> AllocateAndWriteAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        Reservation? reservation = await ReserveAsync(offset, buffer.Length, cancellationToken).ConfigureAwait(false);
        if (reservation is null) return 0;
        bool isLinked = false;
        try
        {
            int length = (int)Math.Min(buffer.Length, reservation.GuestEnd - offset);
            (long start, long end) = ExtentOf(reservation, offset, offset + length);
            await WriteReservedAsync(reservation, offset, buffer[..length], start, end, cancellationToken).ConfigureAwait(false);
            Link(reservation, start, end);
            isLinked = true;
            return length;
        }
        finally
        {
            if (!isLinked) await AbandonAsync(reservation).ConfigureAwait(false);
        }
    }

    /// <summary>What has to be in place before a write can be linked: whole subclusters, and where clusters are replaced, the data they held.</summary>
    private (long Start, long End) ExtentOf(Reservation reservation, long start, long end)
    {
        long first = Align.Down(start, SubclusterSize), last = Align.Up(end, SubclusterSize);
        if (reservation.IsReuse)
        {
            // Subclusters that hold data already are written in place: nothing around the data is touched.
            int firstTouched = SubclusterOf(start), lastTouched = SubclusterOf(end - 1);
            return (reservation.First.IsData(firstTouched, firstTouched + 1) ? start : first, reservation.Last.IsData(lastTouched, lastTouched + 1) ? end : last);
        }

        (int keptFirst, int firstEnd) = reservation.First.DataExtent;
        if (keptFirst < firstEnd) first = Math.Min(first, reservation.GuestStart + ((long)keptFirst << SubclusterBits));
        (int lastFirst, int keptEnd) = reservation.Last.DataExtent;
        if (lastFirst < keptEnd) last = Math.Max(last, reservation.GuestEnd - ClusterSize + ((long)keptEnd << SubclusterBits));
        return (first, last);
    }

    /// <summary>Writes data into reserved clusters, and around it, from <paramref name="start"/> to <paramref name="end"/>, what the guest
    /// saw there before.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask WriteReservedAsync(
        Reservation reservation, long offset, ReadOnlyMemory<byte> data, long start, long end, CancellationToken cancellationToken)
    {
        BlockNode file = _file.Node;
        // A data file may be read as a raw disk: it does not grow beyond it.
        if (HasDataFile) end = Math.Max(offset + data.Length, Math.Min(end, Length));
        int head = (int)(offset - start), tail = (int)(end - offset - data.Length);
        long host = reservation.Run.Host + (offset - reservation.GuestStart);
        await RefuseOverlapAsync(host - head, end - start).ConfigureAwait(false);

        // Clusters the file never held read as zeros: zeros around the data need not be written. Encrypted zeros must be.
        if (reservation.Run.IsFresh && !IsEncrypted)
        {
            if (head > 0 && IsZeroForSure(reservation.First, start, head)) head = 0;
            if (tail > 0 && IsZeroForSure(reservation.Last, offset + data.Length, tail))
            {
                tail = 0;
                _allocator.OnZerosLeftOut(host + end - offset);
            }
        }

        if (head + tail == 0)
        {
            await file.DebugEventAsync(BlkdebugEvent.WriteAio).ConfigureAwait(false);
            await WriteDataAsync(host, offset, data, cancellationToken).ConfigureAwait(false);
            return;
        }

        if (head + data.Length + tail <= IOBuffer.MaxTransfer)
        {
            using IOBuffer whole = IOBuffer.Rent(head + data.Length + tail);
            await ReadOldAsync(offset - head, whole.Memory[..head], cancellationToken).ConfigureAwait(false);
            await ReadOldAsync(offset + data.Length, whole.Memory[(head + data.Length)..], cancellationToken).ConfigureAwait(false);
            data.CopyTo(whole.Memory[head..]);
            await file.DebugEventAsync(BlkdebugEvent.CowWrite).ConfigureAwait(false);
            await file.DebugEventAsync(BlkdebugEvent.WriteAio).ConfigureAwait(false);
            await WriteDataAsync(host - head, offset - head, whole.Memory, cancellationToken).ConfigureAwait(false);
            return;
        }

        await CopyOldAsync(offset - head, host - head, head, cancellationToken).ConfigureAwait(false);
        await CopyOldAsync(offset + data.Length, host + data.Length, tail, cancellationToken).ConfigureAwait(false);
        await file.DebugEventAsync(BlkdebugEvent.WriteAio).ConfigureAwait(false);
        await WriteDataAsync(host, offset, data, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Whether part of one cluster reads as zeros.</summary>
    private bool IsZeroForSure(ExtendedL2Entry old, long offset, long length)
    {
        if (old.IsCompressed) return false;
        uint touched = SubclusterMap.Bits(SubclusterOf(offset), SubclusterOf(offset + length - 1) + 1);
        if ((old.Subclusters.Zero & touched) == touched) return true;
        return (old.Subclusters.Allocated & touched) == 0 && (BackingChild is not { } backing || backing.Node.Length <= offset || offset >= Length);
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask CopyOldAsync(long offset, long host, int length, CancellationToken cancellationToken)
    {
        if (length == 0) return;
        using IOBuffer old = IOBuffer.Rent(length);
        await ReadOldAsync(offset, old.Memory, cancellationToken).ConfigureAwait(false);
        await _file.Node.DebugEventAsync(BlkdebugEvent.CowWrite).ConfigureAwait(false);
        await WriteDataAsync(host, offset, old.Memory, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>What the guest sees now in clusters that are being replaced; zeros past the end of the disk.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask ReadOldAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (buffer.IsEmpty) return;
        await _file.Node.DebugEventAsync(BlkdebugEvent.CowRead).ConfigureAwait(false);
        long end = offset < VmStateOffset ? Length : long.MaxValue;
        int readable = (int)Math.Clamp(end - offset, 0, buffer.Length);
        buffer.Span[readable..].Clear();
        await ReadRangeAsync(offset, buffer[..readable], cancellationToken).ConfigureAwait(false);
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask RefuseOverlapAsync(long host, long length)
    {
        if (HasDataFile) return;      // no metadata there
        MetadataKind? overlap;
        lock (TableLock) overlap = MetadataMap.FindOverlap(host, length);
        if (overlap is { } kind) throw await ReportOverlapAsync(kind, host, length).ConfigureAwait(false);
    }

    /// <summary>Many references wait to become reusable: make their loss durable now rather than let the file grow.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask RelieveReclaimAsync(CancellationToken cancellationToken)
    {
        bool isMany;
        lock (TableLock) isMany = Reclaim.UnlinkedCount > MaxUnlinked;
        if (isMany) await WritebackAsync(WritebackScope.Evict, cancellationToken).ConfigureAwait(false);
    }
}
