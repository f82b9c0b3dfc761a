using System.Buffers.Binary;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;

namespace Varve.Formats.Qcow2;

/// <summary>The refcounts as they lie on disk, read and corrected by a check without the caches of a running image.</summary>
internal sealed class RefcountFile
{
    private const int KeptBlocks = 8;
    private readonly BlockNode _file;
    private readonly Qcow2Header _header;
    private readonly RefcountTableEntry[] _table;
    private readonly long _fileLength;
    private readonly LinkedList<(long Index, byte[] Bytes, bool IsBroken)> _blocks = [];
    private readonly HashSet<long> _dirty = [];

    private RefcountFile(BlockNode file, Qcow2Header header, RefcountTableEntry[] table)
    {
        _file = file;
        _header = header;
        _table = table;
        _fileLength = file.Length;
    }

    /// <summary>The refcount table; entries as on disk, however wrong.</summary>
    public IReadOnlyList<RefcountTableEntry> Table => _table;

    public int BlockBits => RefcountBlock.EntryBits(_header.ClusterBits, _header.RefcountOrder);

    public static async ValueTask<RefcountFile> ReadAsync(BlockNode file, Qcow2Header header, CancellationToken cancellationToken)
    {
        byte[] bytes = new byte[header.RefcountTableClusters * (long)header.ClusterSize];
        await file.ReadAsync(header.RefcountTable.Value, bytes, cancellationToken).ConfigureAwait(false);
        var table = new RefcountTableEntry[bytes.Length / 8];
        for (int i = 0; i < table.Length; i++) table[i] = new(BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8)));
        return new RefcountFile(file, header, table);
    }

    /// <summary>Whether a block can be read: aligned and inside the file.</summary>
    public bool IsUsable(long index)
        => index < _table.Length && _table[index].IsAllocated && Align.Is(_table[index].Block.Value, _header.ClusterSize)
           && (ulong)_table[index].Block.Value < (ulong)_fileLength;

    /// <summary>The refcount of a cluster; 0 where no block counts it.</summary>
    /// <exception cref="BlockException">The block cannot be read.</exception>
    public async ValueTask<ulong> GetAsync(long cluster, CancellationToken cancellationToken)
    {
        long index = cluster >> BlockBits;
        if (index >= _table.Length || !_table[index].IsAllocated) return 0;
        byte[] block = await BlockAsync(index, cancellationToken).ConfigureAwait(false);
        return new RefcountBlock(block, _header.RefcountOrder)[(int)(cluster & ((1L << BlockBits) - 1))];
    }

    /// <summary>Corrects a refcount whose block exists; on disk after <see cref="WriteBackAsync"/>.</summary>
    public async ValueTask SetAsync(long cluster, ulong refcount, CancellationToken cancellationToken)
    {
        byte[] block = await BlockAsync(cluster >> BlockBits, cancellationToken).ConfigureAwait(false);
        var counts = new RefcountBlock(block, _header.RefcountOrder);
        counts[(int)(cluster & ((1L << BlockBits) - 1))] = refcount;
        _dirty.Add(cluster >> BlockBits);
    }

    /// <summary>Writes what was corrected.</summary>
    public async ValueTask WriteBackAsync(CancellationToken cancellationToken)
    {
        foreach ((long index, byte[] bytes, _) in _blocks)
        {
            if (_dirty.Remove(index)) await _file.WriteAsync(_table[index].Block.Value, bytes, WriteFlags.None, cancellationToken).ConfigureAwait(false);
        }
    }

    private async ValueTask<byte[]> BlockAsync(long index, CancellationToken cancellationToken)
    {
        for (LinkedListNode<(long Index, byte[] Bytes, bool IsBroken)>? kept = _blocks.First; kept is not null; kept = kept.Next)
        {
            if (kept.Value.Index == index) return kept.Value.IsBroken ? throw Unreadable(index) : kept.Value.Bytes;
        }

        byte[] block = [];   // the oldest one's memory, used again
        if (_blocks.Count == KeptBlocks)
        {
            (long oldest, block, _) = _blocks.Last!.Value;
            if (_dirty.Remove(oldest)) await _file.WriteAsync(_table[oldest].Block.Value, block, WriteFlags.None, cancellationToken).ConfigureAwait(false);
            _blocks.RemoveLast();
        }

        if (!Align.Is(_table[index].Block.Value, _header.ClusterSize))
        {
            _blocks.AddFirst((index, [], true));
            throw Unreadable(index);
        }

        if (block.Length == 0) block = new byte[_header.ClusterSize];
        if (!IsUsable(index)) Array.Clear(block);
        else await _file.ReadAsync(_table[index].Block.Value, block, cancellationToken).ConfigureAwait(false);
        _blocks.AddFirst((index, block, false));
        return block;
    }

    /// <remarks>The inner exception says what a report of corruption says.</remarks>
    private BlockException Unreadable(long index)
    {
        string what = $"Refblock offset {Qcow2Image.Hex(_table[index].Block.Value)} unaligned (reftable index: {Qcow2Image.Hex(index)})";
        return new(BlockErrorKind.Io, Errno.Text(Errno.EIO), new InvalidDataException(what)) { Errno = Errno.EIO };
    }
}
