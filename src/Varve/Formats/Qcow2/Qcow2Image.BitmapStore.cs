using System.Buffers.Binary;
using Varve.Bitmaps;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

/// <content>Storing bitmaps: at the end of writing, and when one is removed.</content>
internal sealed partial class Qcow2Image
{
    /// <summary>The most bytes that the bits of one bitmap may take: the reference's limit.</summary>
    private const long MaxBitBytes = 512 << 20;

    /// <summary>Clusters taken for what is being stored, that the header does not lead to yet.</summary>
    private readonly List<ClusterAllocator.Run> _stored = [];

    /// <inheritdoc/>
    public override async ValueTask RemovePersistentBitmapAsync(string name, CancellationToken cancellationToken)
    {
        if (!_directory.Exists(e => e.Name == name)) return;
        await PrepareForWritingAsync(cancellationToken).ConfigureAwait(false);
        using AsyncLock.Holder held = await _allocator.Mutex.EnterAsync().ConfigureAwait(false);
        await MarkDirtyAsync(cancellationToken).ConfigureAwait(false);
        await GivingBackAsync(() => ReplaceDirectoryAsync(_directory.FindAll(e => e.Name != name))).ConfigureAwait(false);
    }

    /// <summary>Stores every persistent bitmap; those that cannot be trusted stay as the image has them.</summary>
    /// <exception cref="BlockException">Something could not be stored: what the image has is marked as in use, so nobody believes it.</exception>
    private async ValueTask StoreBitmapsAsync()
    {
        List<DirtyBitmap> stored = [.. Bitmaps.Named.Where(b => b.IsPersistent && !b.IsInconsistent)];
        bool isNew = stored.Exists(b => !_directory.Exists(e => e.Name == b.Name));
        if (stored.Count == 0 || (!_isPreparedForWriting && !isNew)) return;     // what the image has, it has still
        try
        {
            await PrepareForWritingAsync(CancellationToken.None).ConfigureAwait(false);
            using AsyncLock.Holder held = await _allocator.Mutex.EnterAsync().ConfigureAwait(false);
            await MarkDirtyAsync(CancellationToken.None).ConfigureAwait(false);
            await GivingBackAsync(() => StoreLockedAsync(stored)).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            throw new BlockException(e.Kind, $"Lost persistent bitmaps during inactivation of node '{NodeName}': {e.Message}", e) { Errno = e.Errno, NodeName = NodeName };
        }
    }

    private async ValueTask StoreLockedAsync(List<DirtyBitmap> stored)
    {
        var entries = new List<BitmapDirectoryEntry>();
        foreach (BitmapDirectoryEntry entry in _directory)
        {
            DirtyBitmap? bitmap = stored.Find(b => b.Name == entry.Name);
            entries.Add(bitmap is null ? entry : await StoreAsync(bitmap, entry).ConfigureAwait(false));
        }

        foreach (DirtyBitmap bitmap in stored.Where(b => !_directory.Exists(e => e.Name == b.Name)))
        {
            entries.Add(await StoreAsync(bitmap, null).ConfigureAwait(false));
        }

        await ReplaceDirectoryAsync(entries).ConfigureAwait(false);
    }

    /// <summary>Stores something; where that fails, the clusters taken for it are free again, unless the header may lead to them.</summary>
    private async ValueTask GivingBackAsync(Func<ValueTask> store)
    {
        _stored.Clear();
        try
        {
            await store().ConfigureAwait(false);
        }
        catch (BlockException) when (!_isUnusable)
        {
            foreach (ClusterAllocator.Run run in _stored) await _allocator.FreeUnlinkedAsync(run).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Writes the bits and the table of a bitmap to new clusters; what it had stays until the directory is replaced.</summary>
    private async ValueTask<BitmapDirectoryEntry> StoreAsync(DirtyBitmap bitmap, BitmapDirectoryEntry? old)
    {
        long bitBytes = BitBytes(Length, bitmap.GranularityBits);
        int count = (int)Align.Count(bitBytes, ClusterSize);
        var table = new ulong[count];
        using IOBuffer bits = IOBuffer.Rent(ClusterSize);
        for (int i = 0; i < count; i++)
        {
            long at = (long)i << _header.ClusterBits;
            if (bitmap.IsClean(at, ClusterSize)) continue;
            ClusterAllocator.Run run = await _allocator.AllocateAsync(1, "bitmap data", CancellationToken.None).ConfigureAwait(false);
            _stored.Add(run);
            bitmap.CopyTo(at, bits.Span);
            await _file.Node.WriteAsync(run.Host, bits.Memory, WriteFlags.None, CancellationToken.None).ConfigureAwait(false);
            table[i] = BitmapTableEntry.Of(new(run.Host)).Raw;
        }

        HostOffset host = await WriteBitmapTableAsync(table).ConfigureAwait(false);
        return new BitmapDirectoryEntry(bitmap.Name!, host, (uint)count, IsInUse: false, bitmap.IsEnabled, bitmap.GranularityBits)
        {
            Extra = old?.Extra ?? [],
            IsExtraCompatible = old?.IsExtraCompatible ?? false,
        };
    }

    private async ValueTask<HostOffset> WriteBitmapTableAsync(ulong[] table)
    {
        int clusterCount = (int)Math.Max(1, Align.Count(table.Length * 8L, ClusterSize));
        ClusterAllocator.Run run = await _allocator.AllocateContiguousAsync(clusterCount, "bitmap table", CancellationToken.None).ConfigureAwait(false);
        _stored.Add(run);
        using IOBuffer bytes = IOBuffer.Rent(clusterCount << _header.ClusterBits);
        bytes.Span.Clear();
        for (int i = 0; i < table.Length; i++) BinaryPrimitives.WriteUInt64BigEndian(bytes.Span[(i * 8)..], table[i]);
        await _file.Node.WriteAsync(run.Host, bytes.Memory, WriteFlags.None, CancellationToken.None).ConfigureAwait(false);
        return new(run.Host);
    }

    /// <summary>Makes the header name a directory of these entries, or none; then gives up what only the old one named.</summary>
    /// <remarks>What the entries lead to is written, and made durable here. Needs the allocator's mutex.</remarks>
    private async ValueTask ReplaceDirectoryAsync(List<BitmapDirectoryEntry> entries)
    {
        (List<BitmapDirectoryEntry> old, HostOffset oldHost, int oldSize) = (_directory, _directoryHost, _directorySize);
        int size = entries.Sum(e => e.EncodedSize);
        HostOffset host = entries.Count == 0 ? HostOffset.None : await WriteDirectoryAsync(entries, size).ConfigureAwait(false);
        await WritebackAsync(WritebackScope.Close, CancellationToken.None).ConfigureAwait(false);
        await _file.Node.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        if (entries.Count == 0) await SetBitmapsBitAsync(false).ConfigureAwait(false);
        byte[]? extension = entries.Count == 0 ? null : BitmapDirectoryEntry.WriteExtension(host, size, entries.Count);
        _stored.Clear();      // from here on the header may lead to them, whatever fails
        await ChangeExtensionAsync(HeaderExtension.Bitmaps, extension, CancellationToken.None).ConfigureAwait(false);

        // From here on the image has the new directory, whatever fails later: it is what the next write must mark.
        (_directory, _directoryHost, _directorySize) = (entries, host, size);
        lock (TableLock)
        {
            MetadataMap.Remove(oldHost.Value, oldSize);
            MapBitmaps();
        }

        if (entries.Count > 0) await SetBitmapsBitAsync(true).ConfigureAwait(false);
        await ReleaseStoredAsync(oldHost, oldSize).ConfigureAwait(false);
        foreach (BitmapDirectoryEntry entry in old.Where(o => !entries.Exists(e => e.Table == o.Table))) await ReleaseBitsAsync(entry).ConfigureAwait(false);
    }

    private ValueTask SetBitmapsBitAsync(bool isSet) => UpdateHeaderAsync(
        h => h with { Autoclear = isSet ? h.Autoclear | Qcow2Autoclear.Bitmaps : h.Autoclear & ~Qcow2Autoclear.Bitmaps }, CancellationToken.None);

    private async ValueTask<HostOffset> WriteDirectoryAsync(List<BitmapDirectoryEntry> entries, int size)
    {
        int clusterCount = (int)Align.Count(size, ClusterSize);
        ClusterAllocator.Run run = await _allocator.AllocateContiguousAsync(clusterCount, "bitmap directory", CancellationToken.None).ConfigureAwait(false);
        _stored.Add(run);
        using IOBuffer bytes = EncodeDirectory(entries);
        await _file.Node.WriteAsync(run.Host, bytes.Memory[..size], WriteFlags.None, CancellationToken.None).ConfigureAwait(false);
        return new(run.Host);
    }

    /// <summary>Notes where the directory lies. Needs the table lock.</summary>
    private void MapBitmaps() => MetadataMap.Add(_directoryHost.Value, _directorySize, MetadataKind.BitmapDirectory);

    /// <summary>Gives up the table and the bits of a bitmap that the image no longer names. One whose table cannot be true leaks.</summary>
    private async ValueTask ReleaseBitsAsync(BitmapDirectoryEntry entry)
    {
        if (!IsTableAt(entry.Table, entry.TableSize * 8L) || entry.TableSize > MaxBitBytes / 512) return;
        if (entry.Table.Value + entry.TableSize * 8L > Align.Up(_file.Node.Length, ClusterSize)) return;
        ResidentTable table = await ReadTableAsync(entry.Table, (int)entry.TableSize, CancellationToken.None).ConfigureAwait(false);
        for (int i = 0; i < table.Count; i++)
        {
            var cluster = new BitmapTableEntry(table[i]);
            if (cluster.IsValid(ClusterSize)) await ReleaseStoredAsync(cluster.Host, ClusterSize).ConfigureAwait(false);
        }

        await ReleaseStoredAsync(entry.Table, entry.TableSize * 8L).ConfigureAwait(false);
    }

    private ValueTask ReleaseStoredAsync(HostOffset host, long length)
        => host.IsNone || length == 0 ? default : _allocator.ReleaseAsync(new LostReference(host.Value, length, DiscardReason.Other), CancellationToken.None);
}
