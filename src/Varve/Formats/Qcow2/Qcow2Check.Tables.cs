using System.Buffers.Binary;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

/// <content>Counting: L1 and L2 tables, snapshots, bitmaps, the encryption header.</content>
internal sealed partial class Qcow2Check
{
    private const int BitmapEntrySize = 24;

    /// <summary>Every entry of a table of 64-bit words, read in pieces; those behind the end of the file are zeros, and left out.</summary>
    private async IAsyncEnumerable<(long Index, ulong Raw)> ReadTableAsync(
        long offset, long count, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (offset >= 0) count = Math.Min(count, Align.Count(Math.Max(_fileLength - offset, 0), 8));
        using IOBuffer piece = IOBuffer.Rent((int)Math.Min(count * 8, PieceBytes));
        for (long first = 0; first < count; first += PieceBytes / 8)
        {
            int length = (int)Math.Min(PieceBytes, (count - first) * 8);
            if (!await TryReadAsync(offset + first * 8, piece.Memory[..length], cancellationToken).ConfigureAwait(false)) yield break;
            for (int i = 0; i < length / 8; i++) yield return (first + i, BinaryPrimitives.ReadUInt64BigEndian(piece.Span[(i * 8)..]));
        }
    }

    /// <summary>Reads table bytes; false, and counted as an error of the check itself, when the file cannot.</summary>
    private async ValueTask<bool> TryReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (offset < 0 || offset > long.MaxValue - buffer.Length)
        {
            _result.CheckErrors++;
            return false;
        }

        try
        {
            await _file.ReadAsync(offset, buffer, cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (BlockException e)
        {
            _result.CheckErrors++;
            Say($"ERROR: I/O error while reading a table at offset 0x{offset:x}: {e.Message}");
            return false;
        }
    }

    private async ValueTask CountL1Async(long offset, long count, bool isActive, CancellationToken cancellationToken)
    {
        Count(offset, count * 8);
        long left = count;
        await foreach ((_, ulong raw) in ReadTableAsync(offset, count, cancellationToken).ConfigureAwait(false))
        {
            Advance(1);
            left--;
            var entry = new L1Entry(raw);
            if (raw == 0) continue;
            if (entry.HasReservedBits) Corruption($"ERROR found L1 entry with reserved bits set: {Hex(raw)}");
            Count(entry.Table.Value, ClusterSize);
            if (!Align.Is(entry.Table.Value, ClusterSize))
            {
                Corruption($"ERROR l2_offset={Hex((ulong)entry.Table.Value)}: Table is not cluster aligned; L1 entry corrupted");
            }

            // A table past the end of the file reads as zeros: nothing is referenced from it.
            if (entry.Table.Value < _fileLength) await CountL2Async(entry.Table.Value, isActive, cancellationToken).ConfigureAwait(false);
        }

        Advance(left);
    }

    private async ValueTask CountL2Async(long offset, bool isActive, CancellationToken cancellationToken)
    {
        long next = 0;
        await foreach ((long at, ulong raw, ulong map) in ReadL2Async(offset, cancellationToken).ConfigureAwait(false))
        {
            var entry = new L2Entry(raw);
            if (raw == 0 && map == 0) continue;
            if (entry.HasReservedBits) Corruption($"ERROR found l2 entry with reserved bits set: {Hex(raw)}");
            if (entry.Kind == ClusterKind.Compressed)
            {
                // Differs from QEMU: it takes a compressed cluster whose subclusters say something for unreferenced, and frees it in use.
                if (map != 0) Corruption($"ERROR compressed cluster {(at - offset) >> _header.L2EntryBits} with non-zero subcluster allocation bitmap, entry=0x{raw:x}");
                CountCompressed(entry, (at - offset) >> _header.L2EntryBits, isActive);
                continue;
            }

            bool hasHost = !entry.Host.IsNone || (_header.HasDataFile && entry.IsCopied);
            CheckSubclusters(entry, new SubclusterMap(map), hasHost);
            if (hasHost)
            {
                next = await CountStandardAsync(at, entry, new SubclusterMap(map), next, isActive, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Every entry of an L2 table: where it lies, its descriptor, and its subclusters, none where the image has none.</summary>
    private async IAsyncEnumerable<(long Offset, ulong Descriptor, ulong Subclusters)> ReadL2Async(
        long table, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        ulong descriptor = 0;
        await foreach ((long index, ulong raw) in ReadTableAsync(table, ClusterSize / 8, cancellationToken).ConfigureAwait(false))
        {
            if (!_header.HasSubclusters) yield return (table + index * 8, raw, 0);
            else if (index % 2 == 0) descriptor = raw;
            else yield return (table + (index - 1) * 8, descriptor, raw);
        }
    }

    private void CheckSubclusters(L2Entry entry, SubclusterMap subclusters, bool hasHost)
    {
        if (!hasHost)
        {
            if (subclusters.Allocated != 0) Corruption("ERROR: Unallocated cluster has non-zero subcluster allocation map");
        }
        else if (subclusters.IsContradictory)
        {
            Corruption($"ERROR offset={Hex((ulong)entry.Host.Value)}: Allocated cluster has corrupted subcluster allocation bitmap");
        }
    }

    private void CountCompressed(L2Entry entry, long index, bool isActive)
    {
        if (_header.HasDataFile)
        {
            Corruption($"ERROR compressed cluster {index} with data file, entry=0x{Hex(entry.Raw)}");
            return;
        }

        CompressedExtent extent = entry.CompressedAsWritten(_header.ClusterBits);
        if (entry.IsCopied)
        {
            Corruption($"ERROR: coffset=0x{extent.Host.Value:x}: copied flag must never be set for compressed clusters");
        }

        Count(extent.Host.Value, extent.MaxLength);
        if (!isActive || _isRecount) return;
        _result.AllocatedClusters++;
        _result.CompressedClusters++;
        _result.FragmentedClusters++;     // each one, as compressed clusters never follow each other cluster by cluster
    }

    /// <returns>Where the next cluster would lie if the file were not fragmented.</returns>
    private async ValueTask<long> CountStandardAsync(
        long entryOffset, L2Entry entry, SubclusterMap subclusters, long next, bool isActive, CancellationToken cancellationToken)
    {
        long host = entry.Host.Value;
        if (!Align.Is(host, ClusterSize) && await HandleUnalignedAsync(entryOffset, entry, subclusters, cancellationToken).ConfigureAwait(false)) return next;
        if (isActive && !_isRecount)
        {
            _result.AllocatedClusters++;
            if (next != 0 && host != next) _result.FragmentedClusters++;
        }

        if (!_header.HasDataFile) Count(host, ClusterSize);
        return host + ClusterSize;
    }

    /// <summary>A cluster between clusters: one without data loses its place, where errors are repaired. True when it did.</summary>
    private async ValueTask<bool> HandleUnalignedAsync(long entryOffset, L2Entry entry, SubclusterMap subclusters, CancellationToken cancellationToken)
    {
        string offset = Hex((ulong)entry.Host.Value);
        bool holdsData = _header.HasSubclusters ? subclusters.Allocated != 0 : !entry.IsZero;
        if (holdsData)
        {
            Corruption($"ERROR offset={offset}: Data cluster is not properly aligned; L2 entry corrupted.");
            return false;
        }

        if (!RepairsErrors)
        {
            Corruption($"ERROR offset={offset}: Preallocated cluster is not properly aligned; L2 entry corrupted.");
            return false;
        }

        Say($"Repairing offset={offset}: Preallocated cluster is not properly aligned; L2 entry corrupted.");
        L2Entry placeless = _header.HasSubclusters ? L2Entry.Unallocated : L2Entry.Zero;
        await WriteEntryAsync(entryOffset, placeless.Raw, MetadataKind.ActiveL2, cancellationToken).ConfigureAwait(false);
        _result.CorruptionsFixed++;
        return true;
    }

    /// <summary>Corrects an entry of a table, unless something else lies there: an L1 entry may lie about where a table is.</summary>
    private async ValueTask WriteEntryAsync(long offset, ulong raw, MetadataKind table, CancellationToken cancellationToken)
    {
        if (FindOther(offset, table) is { } kind)
        {
            BlockException overlap = await _image.ReportOverlapAsync(kind, offset, 8).ConfigureAwait(false);
            Say("ERROR: Overlap check failed");
            throw overlap;
        }

        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, raw);
        await _file.WriteAsync(offset, bytes, WriteFlags.None, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>What lies at an offset, if not a table of that kind; whatever the image's own overlap checks are set to.</summary>
    private MetadataKind? FindOther(long offset, MetadataKind table)
    {
        long cluster = Align.Down(offset, ClusterSize);
        if (cluster == 0) return MetadataKind.MainHeader;
        if (table != MetadataKind.ActiveL1 && IsIn(_header.L1Table, _header.L1Size * 8L)) return MetadataKind.ActiveL1;
        if (IsIn(_header.RefcountTable, _header.RefcountTableClusters * (long)ClusterSize)) return MetadataKind.RefcountTable;
        if (_refcounts.Table.Any(e => e.Block.Value == cluster)) return MetadataKind.RefcountBlock;
        if (IsIn(_header.SnapshotTable, _snapshotTableBytes)) return MetadataKind.SnapshotTable;
        return null;

        bool IsIn(HostOffset start, long size) => offset >= start.Value && offset < Align.Up(start.Value + size, ClusterSize) && size > 0;
    }

    private async ValueTask CountExtensionsAsync(CancellationToken cancellationToken)
    {
        HeaderCluster cluster = await _image.ReadHeaderClusterAsync(cancellationToken).ConfigureAwait(false);
        if (cluster.Find(HeaderExtension.CryptoHeader) is { Data.Length: >= 16 } crypto)
        {
            Count(BinaryPrimitives.ReadInt64BigEndian(crypto.Data.Span), BinaryPrimitives.ReadInt64BigEndian(crypto.Data.Span[8..]));
        }

        if ((_header.Autoclear & Qcow2Autoclear.Bitmaps) != 0 && cluster.Find(HeaderExtension.Bitmaps) is { Data.Length: >= 24 } bitmaps)
        {
            await CountBitmapsAsync(bitmaps.Data, cancellationToken).ConfigureAwait(false);
        }
    }

    private async ValueTask CountBitmapsAsync(ReadOnlyMemory<byte> extension, CancellationToken cancellationToken)
    {
        if (BitmapDirectoryEntry.TryReadExtension(extension.Span, out HostOffset directory, out int size, out int bitmapCount) is { } wrong)
        {
            Corruption($"ERROR: {wrong.Message}");   // numbers beyond any limit are not walked through
            return;
        }

        long offset = directory.Value;
        Count(offset, size);
        byte[] entry = new byte[BitmapEntrySize];
        long end = offset + size;
        for (int i = 0; i < bitmapCount && offset <= end - BitmapEntrySize; i++)
        {
            if (!await TryReadAsync(offset, entry, cancellationToken).ConfigureAwait(false)) return;
            long table = BinaryPrimitives.ReadInt64BigEndian(entry);
            uint tableSize = BinaryPrimitives.ReadUInt32BigEndian(entry.AsSpan(8));
            int nameSize = BinaryPrimitives.ReadUInt16BigEndian(entry.AsSpan(18));
            uint extraSize = BinaryPrimitives.ReadUInt32BigEndian(entry.AsSpan(20));
            Count(table, tableSize * 8L);
            if (table >= 0)
            {
                await foreach ((_, ulong raw) in ReadTableAsync(table, tableSize, cancellationToken).ConfigureAwait(false))
                {
                    long host = (long)(raw & 0x00FF_FFFF_FFFF_FE00);
                    if (host != 0) Count(host, ClusterSize);
                }
            }

            offset += Align.Up(BitmapEntrySize + extraSize + nameSize, 8);
        }
    }
}
