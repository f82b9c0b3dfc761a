using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

// A compressed write is whole clusters, or what is left of the disk; it never replaces anything: where a cluster is allocated the
// write fails, as the reference's does, unless the data does not get smaller and is written plain.
//   1. Compress, without any lock, several clusters at a time.
//   2. Reserve, write, link, as any allocating write does. The bytes lie in host clusters that others share, so nothing beside them
//      may be written: no padding, not even to the end of the sector.

/// <content>Writing compressed clusters.</content>
internal sealed partial class Qcow2Image
{
    protected override WriteFlags SupportedWriteFlags => WriteFlags.Unchanged | WriteFlags.Compressed;

    private async ValueTask WriteCompressedAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        if (HasDataFile) throw BlockException.FromErrno(Errno.EOPNOTSUPP);
        bool isWhole = Align.Is(buffer.Length, ClusterSize) || offset + buffer.Length == Length;
        // Differs from QEMU: it stores the clusters as they are, for everybody to read.
        if (IsEncrypted) throw BlockException.FromErrno(Errno.EOPNOTSUPP, "Compression and encryption not supported at the same time");
        if (!Align.Is(offset, ClusterSize) || !isWhole) throw BlockException.FromErrno(Errno.EINVAL);
        await PrepareForWritingAsync(cancellationToken).ConfigureAwait(false);
        if (buffer.Length <= ClusterSize)
        {
            await CompressAndWriteAsync(offset, buffer, cancellationToken).ConfigureAwait(false);
            return;
        }

        var options = new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount, CancellationToken = cancellationToken };
        int count = (int)Align.Count(buffer.Length, ClusterSize);
        await Parallel.ForAsync(0, count, options, (i, _) =>
        {
            int start = i << _header.ClusterBits;
            return CompressAndWriteAsync(offset + start, buffer.Slice(start, Math.Min(ClusterSize, buffer.Length - start)), cancellationToken);
        }).ConfigureAwait(false);
    }

    private async ValueTask CompressAndWriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        using IOBuffer packed = IOBuffer.Rent(ClusterSize);
        if (Compress(data.Span, packed.Span) is not { } size)
        {
            await WritePiecesAsync(offset, data, cancellationToken).ConfigureAwait(false);
            return;
        }

        int ticket = EnterRequest();
        try
        {
            Reservation reservation = await ReservePackedAsync(offset, size, cancellationToken).ConfigureAwait(false);
            await WritePackedAsync(reservation, packed.Memory[..size], cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Reclaim.Exit(ticket);
        }
    }

    /// <summary>Compresses a cluster; the last one of the disk is filled up with zeros.</summary>
    private int? Compress(ReadOnlySpan<byte> data, Span<byte> packed)
    {
        if (data.Length == ClusterSize) return _compressor.TryCompress(data, packed);
        using IOBuffer whole = IOBuffer.Rent(ClusterSize);
        data.CopyTo(whole.Span);
        whole.Span[data.Length..].Clear();
        return _compressor.TryCompress(whole.Span, packed);
    }

    private async ValueTask<Reservation> ReservePackedAsync(long offset, int size, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task? busy;
            using (await _allocator.Mutex.EnterAsync().ConfigureAwait(false))
            {
                lock (TableLock) busy = FindReserved(offset, offset + ClusterSize);
                if (busy is null) return await ReservePackedLockedAsync(offset, size, cancellationToken).ConfigureAwait(false);
            }

            await busy.ConfigureAwait(false);
        }
    }

    private async ValueTask<Reservation> ReservePackedLockedAsync(long offset, int size, CancellationToken cancellationToken)
    {
        if (_isUnusable) throw Unusable();
        TableSlice slice = await GetWritableSliceAsync(offset, cancellationToken).ConfigureAwait(false);
        bool isTaken = false;
        try
        {
            ExtendedL2Entry old;
            lock (TableLock) old = _l2.Get(slice, _l2.IndexInSlice(offset));
            if (old.HasHost || old.IsCompressed) throw BlockException.FromErrno(Errno.EIO);
            await _file.Node.DebugEventAsync(BlkdebugEvent.ClusterAllocBytes).ConfigureAwait(false);
            CompressedExtent extent = await _allocator.AllocatePackedAsync(size, cancellationToken).ConfigureAwait(false);
            lock (TableLock)
            {
                Reservation reservation = Register(offset, offset + ClusterSize, slice);
                (reservation.Packed, reservation.First, reservation.Last) = (extent, old, old);
                isTaken = true;
                return reservation;
            }
        }
        finally
        {
            if (!isTaken) _l2.Slices.Unpin(slice);
        }
    }

    private async ValueTask WritePackedAsync(Reservation reservation, ReadOnlyMemory<byte> packed, CancellationToken cancellationToken)
    {
        CompressedExtent extent = reservation.Packed!.Value;
        bool isLinked = false;
        try
        {
            await RefuseOverlapAsync(extent.Host.Value, packed.Length).ConfigureAwait(false);
            await _file.Node.DebugEventAsync(BlkdebugEvent.WriteCompressed).ConfigureAwait(false);
            await _file.Node.WriteAsync(extent.Host.Value, packed, WriteFlags.None, cancellationToken).ConfigureAwait(false);
            lock (TableLock)
            {
                L2Entry entry = L2Entry.CompressedAt(extent, _header.ClusterBits);
                _l2.Set(reservation.Slice, _l2.IndexInSlice(reservation.GuestStart), new(entry, SubclusterMap.None));
                End(reservation);
            }

            isLinked = true;
        }
        finally
        {
            if (!isLinked) await AbandonAsync(reservation).ConfigureAwait(false);
        }
    }
}
