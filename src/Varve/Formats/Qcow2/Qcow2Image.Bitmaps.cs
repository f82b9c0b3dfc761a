using System.Text;
using Varve.Bitmaps;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

// Persistent bitmaps: what holds on disk at every instant
//   1. The extension counts only while its autoclear bit is set. Whoever does not know bitmaps clears the bit with his first write.
//   2. While the image is open for writing every bitmap we use is marked "in use", durably before the first change: after a crash it is
//      there by name, and nobody believes its bits.
//   3. Bits, tables and a new directory are written to clusters of their own and durable before the header names the directory; old ones
//      are given up afterwards. So the header leads to the old bitmaps or to the new ones.
// Bitmaps in memory are the node's (BlockNode.Bitmaps); _directory is what the image holds.

/// <content>Persistent bitmaps: loading, and the marks a writer owes them.</content>
internal sealed partial class Qcow2Image
{
    /// <summary>Memory that the stored bits of one image may take: an image can claim more than a machine has.</summary>
    private const long MaxLoadedBytes = 1L << 30;

    private List<BitmapDirectoryEntry> _directory = [];
    private HostOffset _directoryHost;
    private int _directorySize;

    public override bool SupportsPersistentBitmaps => _header.Version >= 3;

    /// <inheritdoc/>
    public override ValueTask BeforeBitmapChangeAsync(CancellationToken cancellationToken) => PrepareForWritingAsync(cancellationToken);

    /// <inheritdoc/>
    public override ValueTask CheckNewPersistentBitmapAsync(string name, long granularity, CancellationToken cancellationToken)
    {
        List<DirtyBitmap> stored = [.. Bitmaps.Named.Where(b => b.IsPersistent)];
        int directorySize = stored.Sum(b => EntrySize(b.Name!)) + EntrySize(name);
        string? refusal = _header.Version < 3 ? "Cannot store dirty bitmaps in qcow2 v2 files"
            : granularity > 1L << DirtyBitmap.MaxGranularityBits ? $"Granularity exceeds maximum ({1L << DirtyBitmap.MaxGranularityBits} bytes)"
            : Encoding.UTF8.GetByteCount(name) > BitmapDirectoryEntry.MaxNameSize ? $"Name length exceeds maximum ({BitmapDirectoryEntry.MaxNameSize} characters)"
            : BitBytes(Length, (int)long.Log2(granularity)) > MaxBitBytes ? "Too much space will be occupied by the bitmap. Use larger granularity"
            : stored.Count >= BitmapDirectoryEntry.MaxBitmaps ? "Maximum number of persistent bitmaps is already reached"
            : directorySize > BitmapDirectoryEntry.MaxDirectorySize ? "Not enough space in the bitmap directory"
            : null;
        return refusal is null ? default : throw Refusal(BlockErrorKind.Invalid, $"Can't make bitmap '{name}' persistent in '{NodeName}': {refusal}");
    }

    private static int EntrySize(string name) => (int)Align.Up(BitmapDirectoryEntry.FixedSize + Encoding.UTF8.GetByteCount(name), 8);

    /// <summary>Bytes that the bits of a disk take.</summary>
    private static long BitBytes(long length, int granularityBits) => Align.Count(Align.Count(length, 1L << granularityBits), 8);

    /// <summary>Reads the directory, where the image says that it is up to date.</summary>
    private async ValueTask ReadBitmapDirectoryAsync(HeaderCluster cluster, Action<string>? warn, CancellationToken cancellationToken)
    {
        if (cluster.Find(HeaderExtension.Bitmaps) is not { } extension) return;
        BitmapDirectoryEntry.TryReadExtension(extension.Data.Span, out HostOffset offset, out int size, out int count)?.Throw(NodeName);
        if ((_header.Autoclear & Qcow2Autoclear.Bitmaps) == 0)
        {
            string who = _header.Version < 3
                ? "This qcow2 v2 image contains bitmaps, but they may have been modified by a program without persistent bitmap support; so now they must all be considered inconsistent"
                : "a program lacking bitmap support modified this file, so all bitmaps are now considered inconsistent";
            warn?.Invoke($"{who}\nSome clusters may be leaked, run 'qemu-img check -r' on the image file to fix.");
            return;
        }

        byte[] directory = new byte[size];
        await _file.Node.ReadAsync(offset.Value, directory, cancellationToken).ConfigureAwait(false);
        BitmapDirectoryEntry.TryReadAll(directory, count, out _directory)?.Throw(NodeName);
        (_directoryHost, _directorySize) = (offset, size);
    }

    /// <summary>Makes the stored bitmaps the node's. Bits of one that was not stored properly are not looked at.</summary>
    private async ValueTask LoadBitmapsAsync(CancellationToken cancellationToken)
    {
        long loaded = 0;
        foreach (BitmapDirectoryEntry entry in _directory)
        {
            if (!entry.IsUsable) continue;     // what it means nobody told us: it stays as it is
            var bitmap = new DirtyBitmap(Length, 1L << entry.GranularityBits, entry.Name)
            {
                IsPersistent = true,
                IsInconsistent = entry.IsInUse,
                IsEnabled = entry.IsAuto && !entry.IsInUse,
                IsReadOnly = IsReadOnly,
            };
            if (!entry.IsInUse) loaded += await LoadBitsAsync(bitmap, entry, MaxLoadedBytes - loaded, cancellationToken).ConfigureAwait(false);
            Bitmaps.Add(bitmap);
        }
    }

    private async ValueTask<long> LoadBitsAsync(DirtyBitmap bitmap, BitmapDirectoryEntry entry, long budget, CancellationToken cancellationToken)
    {
        long bitBytes = BitBytes(Length, entry.GranularityBits), count = Align.Count(bitBytes, ClusterSize);
        if (entry.TableSize < count || entry.TableSize > MaxBitBytes / Math.Min(ClusterSize, 4096) || !IsTableAt(entry.Table, entry.TableSize * 8L))
        {
            throw Refusal(BlockErrorKind.Invalid, $"Bitmap '{entry.Name}' doesn't satisfy the constraints");
        }

        ResidentTable table = await ReadTableAsync(entry.Table, (int)count, cancellationToken).ConfigureAwait(false);
        using IOBuffer bits = IOBuffer.Rent(ClusterSize);
        long loaded = 0;
        for (int i = 0; i < count; i++)
        {
            var cluster = new BitmapTableEntry(table[i]);
            if (!cluster.IsValid(ClusterSize)) throw Refusal(BlockErrorKind.Invalid, $"Could not read bitmap table of bitmap '{entry.Name}' from image");
            if (cluster.Host.IsNone && !cluster.IsAllOnes) continue;
            loaded += Math.Min(ClusterSize, bitBytes);
            if (loaded > budget) throw Refusal(BlockErrorKind.TooLarge, $"The image's bitmaps take more than {MaxLoadedBytes} bytes of memory");
            if (cluster.IsAllOnes) bits.Span.Fill(0xFF);
            else await _file.Node.ReadAsync(cluster.Host.Value, bits.Memory, cancellationToken).ConfigureAwait(false);
            bitmap.MarkFrom((long)i << _header.ClusterBits, bits.Span);
        }

        return loaded;
    }

    private bool IsTableAt(HostOffset table, long bytes)
        => table.Value > 0 && table.Value <= long.MaxValue - bytes && Align.Is(table.Value, ClusterSize);

    /// <summary>Marks every bitmap as in use, durably, and lets it change from then on.</summary>
    private async ValueTask TakeBitmapsIntoUseAsync(CancellationToken cancellationToken)
    {
        if (_directory.Exists(e => !e.IsInUse && e.IsUsable))
        {
            // In place: each flag lies in one sector, and one that is set too early does no harm.
            List<BitmapDirectoryEntry> marked = _directory.ConvertAll(e => e.IsUsable ? e with { IsInUse = true } : e);
            using IOBuffer bytes = EncodeDirectory(marked);
            await _file.Node.WriteAsync(_directoryHost.Value, bytes.Memory[..marked.Sum(e => e.EncodedSize)], WriteFlags.None, cancellationToken)
                .ConfigureAwait(false);
            await _file.Node.FlushAsync(cancellationToken).ConfigureAwait(false);
            _directory = marked;
        }

        foreach (DirtyBitmap bitmap in Bitmaps.Named) bitmap.IsReadOnly = false;
        Bitmaps.OnChanged();
    }

    private static IOBuffer EncodeDirectory(List<BitmapDirectoryEntry> entries)
    {
        IOBuffer bytes = IOBuffer.Rent(Math.Max(8, entries.Sum(e => e.EncodedSize)));
        int at = 0;
        foreach (BitmapDirectoryEntry entry in entries)
        {
            entry.WriteTo(bytes.Span[at..]);
            at += entry.EncodedSize;
        }

        return bytes;
    }

    /// <summary>Refuses to resize while bitmaps are in a state in which they cannot follow.</summary>
    private void RefuseResizeOfBitmaps()
    {
        foreach (DirtyBitmap bitmap in Bitmaps.Named.Where(b => b.IsPersistent)) BitmapOperations.RequireUsable(this, bitmap);
    }
}
