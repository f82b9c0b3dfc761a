using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;

namespace Varve.Formats.Qcow2;

/// <summary>What is wrong with a snapshot table, in the reference's words.</summary>
/// <param name="Kind">As what opening fails with it.</param>
/// <param name="Message">As opening says it.</param>
/// <param name="Removable">What a repair would remove: <c>this extra metadata</c>.</param>
/// <param name="Repair">What a repair says it does.</param>
/// <param name="Count">How many faults a repair counts.</param>
/// <param name="IsInEntry">An entry is read without a part of it; otherwise the table ends before an entry.</param>
internal sealed record SnapshotTableFault(BlockErrorKind Kind, string Message, string Removable, string Repair, int Count, bool IsInEntry)
{
    public string Hint => $"You can force-remove {Removable} with qemu-img check -r all";
}

/// <summary>Reads a snapshot table. Nothing the entries lead to is read.</summary>
internal static class SnapshotTableReader
{
    /// <summary>Reads the entries that can be.</summary>
    /// <param name="file">The image's file.</param>
    /// <param name="header">Where the table is; <see cref="Qcow2Header.IsSnapshotTableValid"/> holds.</param>
    /// <param name="onFault">Throws, or leaves what is wrong out.</param>
    /// <param name="cancellationToken">Ends reading.</param>
    /// <returns>The entries, and the bytes they take in the file.</returns>
    public static async ValueTask<(List<SnapshotEntry> Entries, long Bytes)> ReadAsync(
        BlockNode file, Qcow2Header header, Action<SnapshotTableFault> onFault, CancellationToken cancellationToken)
    {
        var entries = new List<SnapshotEntry>();
        int count = Math.Min(header.SnapshotCount, Qcow2Header.MaxSnapshotCount);
        long bytes = 0, cutBytes = 0;      // cut: what the table will be shorter without extra data that is too long
        for (int i = 0; i < count; i++)
        {
            long start = Align.Up(bytes, 8);
            if (header.SnapshotTable.Value + start >= file.Length && count - i > SnapshotEntry.MaxBehindFile)
            {
                onFault(EndsEarly(count - i, BlockErrorKind.Corrupt, $"Snapshot table entry {i} lies beyond the end of the file", "beyond the end of the file"));
                break;
            }

            (SnapshotEntry entry, long size) = await ReadEntryAsync(file, i, header.SnapshotTable.Value + start, onFault, cancellationToken).ConfigureAwait(false);
            cutBytes += size - entry.StoredSize;
            if (start + size - cutBytes > SnapshotEntry.MaxTableBytes)
            {
                onFault(EndsEarly(count - i, BlockErrorKind.TooLarge, "Snapshot table is too big", "snapshot table is too big"));
                break;
            }

            entries.Add(entry);
            bytes = start + size;
        }

        return (entries, bytes);
    }

    private static SnapshotTableFault EndsEarly(int left, BlockErrorKind kind, string message, string why)
        => new(kind, message, $"all {left} overhanging snapshots", $"Discarding {left} overhanging snapshots ({why})", left, IsInEntry: false);

    /// <summary>Reads one entry, without extra data that is too long, and the bytes it takes in the table, padding left out.</summary>
    private static async ValueTask<(SnapshotEntry Entry, long Size)> ReadEntryAsync(
        BlockNode file, int index, long offset, Action<SnapshotTableFault> onFault, CancellationToken cancellationToken)
    {
        byte[] fixedPart = new byte[SnapshotEntry.FixedSize];
        await file.ReadAsync(offset, fixedPart, cancellationToken).ConfigureAwait(false);
        SnapshotHead head = SnapshotHead.Read(fixedPart);
        if (head.ExtraSize > SnapshotEntry.MaxExtraSize)
        {
            onFault(new SnapshotTableFault(
                BlockErrorKind.Unsupported,
                $"Too much extra metadata in snapshot table entry {index}",
                "this extra metadata",
                $"Discarding too much extra metadata in snapshot table entry {index} ({head.ExtraSize} > {SnapshotEntry.MaxExtraSize})",
                Count: 1,
                IsInEntry: true));
        }

        int extraSize = (int)Math.Min(head.ExtraSize, SnapshotEntry.MaxExtraSize), namesAt = SnapshotEntry.FixedSize + extraSize;
        byte[] bytes = new byte[namesAt + head.IdSize + head.NameSize];
        if (extraSize == head.ExtraSize)
        {
            await file.ReadAsync(offset, bytes, cancellationToken).ConfigureAwait(false);
            return (SnapshotEntry.Read(bytes), bytes.Length);
        }

        fixedPart.CopyTo(bytes, 0);
        SnapshotHead.SetExtraSize(bytes, extraSize);
        await file.ReadAsync(offset + SnapshotEntry.FixedSize, bytes.AsMemory(SnapshotEntry.FixedSize, extraSize), cancellationToken).ConfigureAwait(false);
        await file.ReadAsync(offset + SnapshotEntry.FixedSize + head.ExtraSize, bytes.AsMemory(namesAt), cancellationToken).ConfigureAwait(false);
        return (SnapshotEntry.Read(bytes), SnapshotEntry.FixedSize + head.ExtraSize + head.IdSize + head.NameSize);
    }
}
