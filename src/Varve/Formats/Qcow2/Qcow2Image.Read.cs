using System.Runtime.CompilerServices;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

/// <content>Reading and block status.</content>
internal sealed partial class Qcow2Image
{
    protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (_isUnusable) throw Unusable();
        int ticket;
        long host;
        lock (TableLock)
        {
            Mapping mapping = _l2.Lookup(offset, buffer.Length);
            if (mapping.Length != buffer.Length) goto pieces;
            if (mapping.Kind == MappingKind.Unallocated && BackingChild is not null) goto below;
            if (mapping.Kind is MappingKind.Unallocated or MappingKind.ZeroPlain or MappingKind.ZeroAllocated) goto zeros;
            if (mapping.Kind != MappingKind.Data) goto pieces;
            host = mapping.Host;
            ticket = Reclaim.Enter();
        }

        ValueTask read;
        try
        {
            ValueTask announced = _file.Node.DebugEventAsync(BlkdebugEvent.ReadAio);
            read = announced.IsCompletedSuccessfully
                ? _data.Node.ReadAsync(host, buffer, cancellationToken)
                : ReadAnnouncedAsync(announced, _data.Node, host, buffer, cancellationToken);
        }
        catch
        {
            Reclaim.Exit(ticket);
            throw;
        }

        if (_cipher is not null) return DecryptAndExitAsync(read, host, offset, buffer, ticket);
        if (!read.IsCompletedSuccessfully) return ExitLaterAsync(read, ticket);
        read.GetAwaiter().GetResult();
        Reclaim.Exit(ticket);
        return default;

    below:
        // Whatever becomes of this image's clusters meanwhile, nothing of them is read: no ticket.
        if (offset + buffer.Length <= Length && _below.TryFind(BackingChild.Node, offset, buffer.Length) is { } holder)
        {
            ValueTask announced = _file.Node.DebugEventAsync(BlkdebugEvent.ReadBackingAio);
            return announced.IsCompletedSuccessfully
                ? holder.ReadAsync(offset, buffer, cancellationToken)
                : ReadAnnouncedAsync(announced, holder, offset, buffer, cancellationToken);
        }

    pieces:
        return ReadPiecesAsync(offset, buffer, cancellationToken);

    zeros:
        buffer.Span.Clear();
        return default;
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private static async ValueTask ReadAnnouncedAsync(
        ValueTask announced, BlockNode node, long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        await announced.ConfigureAwait(false);
        await node.ReadAsync(offset, buffer, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Ends a request's use of its mapping when its I/O ends.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask ExitLaterAsync(ValueTask request, int ticket)
    {
        try
        {
            await request.ConfigureAwait(false);
        }
        finally
        {
            Reclaim.Exit(ticket);
        }
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask ReadPiecesAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        int ticket = EnterRequest();
        try
        {
            await ReadRangeAsync(offset, buffer, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Reclaim.Exit(ticket);
        }
    }

    private int EnterRequest()
    {
        lock (TableLock) return Reclaim.Enter();
    }

    /// <summary>Reads guest data piece by piece. The caller has entered the request, so mappings stay usable.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask ReadRangeAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        while (!buffer.IsEmpty)
        {
            Mapping mapping = await MapAsync(offset, buffer.Length, cancellationToken).ConfigureAwait(false);
            Memory<byte> piece = buffer[..(int)mapping.Length];
            switch (mapping.Kind)
            {
                case MappingKind.Data:
                    await _file.Node.DebugEventAsync(BlkdebugEvent.ReadAio).ConfigureAwait(false);
                    await _data.Node.ReadAsync(mapping.Host, piece, cancellationToken).ConfigureAwait(false);
                    Decrypt(mapping.Host, offset, piece.Span);
                    break;
                case MappingKind.Compressed:
                    await _compressed.ReadAsync(mapping.Entry, (int)(offset & (ClusterSize - 1)), piece, cancellationToken).ConfigureAwait(false);
                    break;
                case MappingKind.Unallocated when BackingChild is { } backing && offset < Length:
                    await _file.Node.DebugEventAsync(BlkdebugEvent.ReadBackingAio).ConfigureAwait(false);
                    BlockNode holder = await _below.FindAsync(backing.Node, offset, piece.Length, cancellationToken).ConfigureAwait(false);
                    await holder.ReadAsync(offset, piece, cancellationToken).ConfigureAwait(false);
                    break;
                default:
                    piece.Span.Clear();
                    break;
            }

            offset += piece.Length;
            buffer = buffer[piece.Length..];
        }
    }

    /// <summary>Maps a range, loading what is not cached.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    private async ValueTask<Mapping> MapAsync(long offset, long maxLength, CancellationToken cancellationToken, bool forWriting = false)
    {
        while (true)
        {
            Mapping mapping;
            lock (TableLock) mapping = _l2.Lookup(offset, maxLength);
            if (mapping.IsCorrupt)
            {
                throw await ReportMappingAsync(offset, mapping, forWriting).ConfigureAwait(false);
            }

            if (mapping.Kind != MappingKind.NotCached) return mapping;
            TableSlice slice = await _l2.Slices.GetPinnedAsync(mapping.Host, BlkdebugEvent.L2Load, cancellationToken).ConfigureAwait(false);
            try
            {
                lock (TableLock) mapping = _l2.Lookup(offset, maxLength, slice);
            }
            finally
            {
                _l2.Slices.Unpin(slice);
            }

            if (mapping.Kind != MappingKind.NotCached && !mapping.IsCorrupt) return mapping;
        }
    }

    private ValueTask<BlockException> ReportMappingAsync(long offset, Mapping mapping, bool forWriting)
    {
        int l1Index = _l2.L1IndexOf(offset);
        if (mapping.Kind == MappingKind.Corrupt && mapping.Entry.Raw == 0)
        {
            return ReportCorruptionAsync(isFatal: true, $"L2 table offset {Hex(mapping.Host)} unaligned (L1 index: {Hex(l1Index)})");
        }

        long host = mapping.Entry.Host.Value;
        if (mapping.Entry.IsZero)
        {
            long cluster = Align.Down(offset, ClusterSize);
            return ReportCorruptionAsync(isFatal: true, $"Preallocated zero cluster offset {Hex(host)} unaligned (guest offset: {Hex(cluster)})");
        }

        long table, index = (offset >> _header.ClusterBits) & (_header.L2Entries - 1);
        if (mapping.Kind == MappingKind.Misplaced)
        {
            return ReportCorruptionAsync(
                isFatal: true,
                $"External data file host cluster offset {Hex(host)} does not match guest cluster offset: {Hex(Align.Down(offset, ClusterSize))}, L2 index: {Hex(index)})");
        }

        lock (TableLock) table = new Metadata.L1Entry(_l2.L1[l1Index]).Table.Value;
        if (mapping.Kind == MappingKind.Misfiled)
        {
            return ReportCorruptionAsync(
                isFatal: true, $"Compressed cluster entry found in image with external data file (L2 offset: {Hex(table)}, L2 index: {Hex(index)})");
        }

        if (mapping.Kind == MappingKind.Invalid)
        {
            string gap = forWriting ? "" : " ";      // the reference's own two spaces
            return ReportCorruptionAsync(isFatal: true, $"Invalid cluster entry found{gap} (L2 offset: {Hex(table)}, L2 index: {Hex(index)})");
        }

        return ReportCorruptionAsync(
            isFatal: true, $"Cluster allocation offset {Hex(host)} unaligned (L2 offset: {Hex(table)}, L2 index: {Hex(index)})");
    }

    protected override async ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, bool precise, CancellationToken cancellationToken)
    {
        if (_isUnusable) throw Unusable();
        int ticket = EnterRequest();
        try
        {
            Mapping first = await MapAsync(offset, length, cancellationToken).ConfigureAwait(false);
            long total = first.Length;
            while (total < length)
            {
                Mapping next = await MapAsync(offset + total, length - total, cancellationToken).ConfigureAwait(false);
                if (!IsSameRun(first, next, total)) break;
                total += next.Length;
            }

            BlockStatus status = StatusOf(first, total);
            return precise ? await RefineAsync(status, cancellationToken).ConfigureAwait(false) : status;
        }
        finally
        {
            Reclaim.Exit(ticket);
        }
    }

    private BlockStatusFlags UnallocatedFlags => BackingChild is null ? BlockStatusFlags.Zero : BlockStatusFlags.None;

    private static bool IsSameRun(Mapping first, Mapping next, long distance)
        => first.Kind == next.Kind && next.Host == (first.Host == 0 ? 0 : first.Host + distance);

    /// <summary>Where the data lies is told only to those who could read it there.</summary>
    private BlockStatus StatusOf(Mapping mapping, long length) => mapping.Kind switch
    {
        MappingKind.Data when IsEncrypted => new(BlockStatusFlags.Data | BlockStatusFlags.Allocated, length),
        MappingKind.ZeroAllocated when IsEncrypted => new(BlockStatusFlags.Zero | BlockStatusFlags.Allocated, length),
        MappingKind.Data => new(
            BlockStatusFlags.Data | BlockStatusFlags.Allocated | BlockStatusFlags.OffsetValid, length, mapping.Host, _data.Node),
        MappingKind.Compressed => new(BlockStatusFlags.Data | BlockStatusFlags.Allocated | BlockStatusFlags.Compressed, length),
        MappingKind.ZeroAllocated => new(
            BlockStatusFlags.Zero | BlockStatusFlags.Allocated | BlockStatusFlags.OffsetValid, length, mapping.Host, _data.Node),
        MappingKind.ZeroPlain => new(BlockStatusFlags.Zero | BlockStatusFlags.Allocated, length),
        _ when mapping.Host != 0 => new(UnallocatedFlags | BlockStatusFlags.OffsetValid, length, mapping.Host, _data.Node),
        _ => new(UnallocatedFlags, length),
    };
}
