using System.Buffers.Binary;
using Varve.Crypto.Luks;
using Varve.Formats.Qcow2.Metadata;

namespace Varve.Formats.Qcow2;

/// <content>Snapshots, bitmaps, the encryption header.</content>
internal sealed partial class Qcow2Inspection
{
    private const int MaxSnapshotTables = 64;
    private const long SnapshotTableShare = 64 << 10;

    private void InspectSnapshots()
    {
        long start = _header.SnapshotTable.Value, offset = start;
        byte[] bytes = new byte[SnapshotEntry.FixedSize];
        for (int i = 0; i < _header.SnapshotCount; i++)
        {
            if (offset + bytes.Length > source.Length)
            {
                findings.Refused("snapshots-outside-file", $"snapshot {i} of {_header.SnapshotCount} at 0x{offset:x} lies outside the file");
                return;
            }

            if (!source.TryRead(offset, bytes)) return;
            SnapshotHead entry = SnapshotHead.Read(bytes);
            offset += entry.Size;
            if (entry.ExtraSize > SnapshotEntry.MaxExtraSize)
            {
                findings.Refused("snapshot-extra", $"snapshot {i} has {entry.ExtraSize} bytes of extra data, more than {SnapshotEntry.MaxExtraSize}");
                return;
            }

            if (offset - start > SnapshotEntry.MaxTableBytes)
            {
                findings.Refused("snapshot-table", $"the snapshot table is larger than {SnapshotEntry.MaxTableBytes} bytes");
                return;
            }

            InspectSnapshotTable(i, entry);
        }

        if (offset > start) Place(start, offset - start, "snapshot table");
    }

    private void InspectSnapshotTable(int index, SnapshotHead entry)
    {
        if (entry.L1Size > Qcow2Header.MaxL1Bytes / 8)
        {
            findings.Suspicious("snapshot-l1-size", $"snapshot {index} has an L1 table of {entry.L1Size} entries");
            return;
        }

        if (!Place(entry.L1Table.Value, entry.L1Size * 8, "snapshot's L1 table")) return;
        if (index >= MaxSnapshotTables)
        {
            findings.Note("snapshot-tables", $"L1 tables of snapshots beyond the first {MaxSnapshotTables} were not looked at");
            return;
        }

        // Their L2 tables may be the active ones: shared, so not placed.
        foreach (ulong raw in source.ReadTable(entry.L1Table.Value, entry.L1Size, SnapshotTableShare)) CheckPointer(new L1Entry(raw), "snapshot's L2 table");
    }

    private void InspectBitmaps(HeaderCluster cluster)
    {
        bool isConsistent = (_header.Autoclear & Qcow2Autoclear.Bitmaps) != 0;
        if (cluster.Find(HeaderExtension.Bitmaps) is not { } extension)
        {
            if (isConsistent) findings.Note("no-bitmaps", "says that its bitmaps are consistent, but has none");
            return;
        }

        if (!isConsistent) findings.Note("stale-bitmaps", "its bitmaps are not kept up to date");
        if (BitmapDirectoryEntry.TryReadExtension(extension.Data.Span, out HostOffset directory, out int size, out int count) is { } wrong)
        {
            findings.Refused("bitmaps", wrong.Message);
            return;
        }

        if (!Place(directory.Value, size, "bitmap directory")) return;
        byte[] bytes = new byte[Math.Min(size, DirectoryShare)];
        if (size > DirectoryShare) findings.Note("bitmap-directory", $"the bitmap directory has {size} bytes, of which {DirectoryShare} were looked at");
        if (!source.TryRead(directory.Value, bytes)) return;
        if (BitmapDirectoryEntry.TryReadAll(bytes, count, out List<BitmapDirectoryEntry> entries) is { } broken && size <= DirectoryShare)
        {
            findings.Suspicious("bitmap-directory", broken.Message);
        }

        foreach (BitmapDirectoryEntry entry in entries) Place(entry.Table.Value, entry.TableSize * 8L, "bitmap table");
    }

    private const int DirectoryShare = 1 << 20;

    private void InspectEncryption(HeaderCluster cluster)
    {
        const uint None = 0, Aes = 1, Luks = 2;
        HeaderExtension? header = cluster.Find(HeaderExtension.CryptoHeader);
        if (_header.CryptMethod == Aes) findings.Note("legacy-aes", "encrypted by the legacy AES format, which protects little");
        if (_header.CryptMethod != Luks)
        {
            if (header is not null) findings.Suspicious("encryption-header", "has an encryption header, but is not encrypted by LUKS");
            if (_header.CryptMethod == None) return;
        }
        else if (header is not { Data.Length: 16 })
        {
            findings.Refused("encryption-header", "encrypted by LUKS, but without a valid pointer to the LUKS header");
        }
        else
        {
            ReadOnlySpan<byte> data = header.Value.Data.Span;
            long offset = BinaryPrimitives.ReadInt64BigEndian(data), length = BinaryPrimitives.ReadInt64BigEndian(data[8..]);
            if (length is < LuksHeader.Size or > (64 << 20)) findings.Suspicious("encryption-header-size", $"a LUKS header of {length} bytes");
            else if (Place(offset, length, "encryption header")) LuksInspection.Inspect(source, findings, offset);
        }

        findings.Note("encrypted", "the data is encrypted");
    }
}
