using System.Buffers.Binary;
using System.Text;
using Varve.Crypto.Luks;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

// Order of creation: the file is emptied, every table is written and made durable, the header comes last. A crash in between leaves a
// file that is no qcow2 image, never one that opens and is wrong.

/// <summary>Writes a new image into a file.</summary>
internal sealed class Qcow2Creation
{
    private readonly BlockBackend _file;
    private readonly BlockBackend? _data;
    private readonly Qcow2Layout _layout;
    private readonly byte[] _headerCluster;

    /// <summary>Lays the image out; what cannot be created is refused here, before the file is touched.</summary>
    public Qcow2Creation(BlockBackend file, BlockBackend? data, Qcow2CreateOptions options)
    {
        _file = file;
        _data = data;
        _layout = new Qcow2Layout(options);
        _layout.RefuseTooLarge();
        _headerCluster = BuildHeaderCluster();
    }

    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        await PrepareFileAsync(cancellationToken).ConfigureAwait(false);
        await WriteTableAsync(1, _layout.RefcountTableClusters * _layout.ClusterSize, FillRefcountTable, cancellationToken).ConfigureAwait(false);
        await WriteTableAsync(
            _layout.FirstRefcountBlock, _layout.RefcountBlocks * _layout.ClusterSize, FillRefcounts, cancellationToken).ConfigureAwait(false);
        await WriteTableAsync(_layout.L1Table, _layout.L1Size * 8, FillL1, cancellationToken).ConfigureAwait(false);
        for (long i = 0; i < _layout.L2Tables; i++)
        {
            long table = i;
            _file.Node.Graph.OnProgress(table, _layout.L2Tables);
            await WriteTableAsync(
                _layout.L2Table(table), _layout.ClusterSize, (bytes, first) => FillL2(bytes, table, first), cancellationToken).ConfigureAwait(false);
        }

        await CreateEncryptionAsync(cancellationToken).ConfigureAwait(false);
        await PrepareDataFileAsync(cancellationToken).ConfigureAwait(false);
        await _file.FlushAsync(cancellationToken).ConfigureAwait(false);
        await _file.WriteAsync(0, _headerCluster, WriteFlags.None, cancellationToken).ConfigureAwait(false);
        await _file.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Makes a key, and writes the LUKS header with its first slot.</summary>
    private async ValueTask CreateEncryptionAsync(CancellationToken cancellationToken)
    {
        if (_layout.Options.Encryption is not { Volume: { } volume } encryption) return;
        await _file.RunAsync(
            static async (node, create, token) =>
            {
                await LuksVolume.CreateAsync(node, create.Start, create.volume, isDetached: false, create.Passphrase, token).ConfigureAwait(false);
                return true;
            },
            (Start: _layout.OffsetOf(_layout.EncryptionHeader).Value, volume, encryption.Passphrase),
            cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Where the LUKS header lies, and how long it is.</summary>
    private HeaderExtension EncryptionPointer()
    {
        byte[] data = new byte[16];
        BinaryPrimitives.WriteInt64BigEndian(data, _layout.OffsetOf(_layout.EncryptionHeader).Value);
        BinaryPrimitives.WriteInt64BigEndian(data.AsSpan(8), _layout.Options.Encryption!.HeaderSize);
        return new HeaderExtension(HeaderExtension.CryptoHeader, data);
    }

    /// <summary>Empties the file and gives it its length and space. One of a fixed length must be long enough; then its old content,
    /// which preallocated clusters would show, is zeroed.</summary>
    private async ValueTask PrepareFileAsync(CancellationToken cancellationToken)
    {
        PreallocationMode mode = _data is null ? DataSpace : PreallocationMode.Off;
        try
        {
            await ResizeAsync(_file, 0, PreallocationMode.Off, cancellationToken).ConfigureAwait(false);
            await ResizeAsync(_file, _layout.FileLength, mode, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e) when (e.Kind == BlockErrorKind.Unsupported && _file.Length >= _layout.FileLength)
        {
            await _file.WriteZeroesAsync(0, _layout.FileLength, ZeroFlags.None, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>How the clusters of guest data get their space; tables are written anyway.</summary>
    private PreallocationMode DataSpace
        => _layout.Options.Preallocation is PreallocationMode.Metadata ? PreallocationMode.Off : _layout.Options.Preallocation;

    /// <summary>Gives a data file the length of the disk. What it holds stays: it may be an image that gets its metadata now.</summary>
    private async ValueTask PrepareDataFileAsync(CancellationToken cancellationToken)
    {
        if (_data is null) return;
        if (_data.Length != _layout.Options.Size || DataSpace != PreallocationMode.Off)
        {
            await ResizeAsync(_data, _layout.Options.Size, DataSpace, cancellationToken).ConfigureAwait(false);
        }

        await _data.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    private static async ValueTask ResizeAsync(BlockBackend file, long length, PreallocationMode mode, CancellationToken cancellationToken)
        => await file.RunAsync(
            static async (node, resize, token) =>
            {
                await node.ResizeAsync(resize.length, resize.mode, token).ConfigureAwait(false);
                return true;
            },
            (length, mode),
            cancellationToken).ConfigureAwait(false);

    /// <summary>Writes a table in pieces; <paramref name="fill"/> gets zeroed bytes and the index, in bytes, of the first.</summary>
    private async ValueTask WriteTableAsync(long cluster, long length, FillTable fill, CancellationToken cancellationToken)
    {
        if (length == 0) return;
        using IOBuffer buffer = IOBuffer.Rent((int)Math.Min(length, Math.Max(_layout.ClusterSize, 1 << 16)));
        for (long done = 0; done < length;)
        {
            int piece = (int)Math.Min(length - done, buffer.Memory.Length);
            buffer.Span[..piece].Clear();
            fill(buffer.Span[..piece], done);
            await _file.WriteAsync(_layout.OffsetOf(cluster).Value + done, buffer.Memory[..piece], WriteFlags.None, cancellationToken)
                .ConfigureAwait(false);
            done += piece;
        }
    }

    private delegate void FillTable(Span<byte> bytes, long firstByte);

    private void FillRefcountTable(Span<byte> bytes, long firstByte)
        => FillEntries(bytes, firstByte, _layout.RefcountBlocks, i => RefcountTableEntry.Of(_layout.OffsetOf(_layout.FirstRefcountBlock + i)).Raw);

    private void FillL1(Span<byte> bytes, long firstByte)
        => FillEntries(bytes, firstByte, _layout.L2Tables, i => L1Entry.Of(_layout.OffsetOf(_layout.L2Table(i))).Raw);

    private void FillL2(Span<byte> bytes, long table, long firstByte)
    {
        int words = _layout.Options.ExtendedL2 ? 2 : 1;      // the second: no subcluster is allocated
        FillEntries(
            bytes,
            firstByte,
            _layout.DataClustersOf(table) * words,
            i => i % words == 0 ? L2Entry.Standard(_layout.DataCluster(table, i / words)).Raw : SubclusterMap.None.Raw);
    }

    private static void FillEntries(Span<byte> bytes, long firstByte, long count, Func<long, ulong> entry)
    {
        long first = firstByte / 8;
        for (int i = 0; i < bytes.Length / 8 && first + i < count; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes[(i * 8)..], entry(first + i));
        }
    }

    /// <summary>Every cluster of the image is referenced once.</summary>
    private void FillRefcounts(Span<byte> bytes, long firstByte)
    {
        int order = _layout.Header.RefcountOrder;
        var refcounts = new RefcountBlock(bytes, order);
        long first = firstByte * 8 >> order;
        int count = (int)Math.Clamp(_layout.ClusterCount - first, 0, refcounts.Count);
        for (int i = 0; i < count; i++) refcounts[i] = 1;
    }

    private byte[] BuildHeaderCluster()
    {
        byte[] bytes = new byte[_layout.ClusterSize];
        _layout.Header.WriteTo(bytes);
        var extensions = new List<HeaderExtension>();
        if (_layout.Options.BackingFormat is { } format) extensions.Add(new(HeaderExtension.BackingFormat, Encoding.UTF8.GetBytes(format)));
        if (_layout.Options.DataFile is { } dataFile) extensions.Add(new(HeaderExtension.DataFileName, Encoding.UTF8.GetBytes(dataFile)));
        if (_layout.Options.Encryption is { Volume: not null }) extensions.Add(EncryptionPointer());
        if (FeatureNameTable.ForNewImage(_layout.Options.Version, _layout.ClusterSize) is { } table) extensions.Add(table);
        byte[] name = Encoding.UTF8.GetBytes(_layout.Options.BackingFile ?? "");
        HeaderCluster.TryRead(bytes, out HeaderCluster? plain)?.Throw("");
        if (name.Length > Qcow2Header.MaxBackingFileSize) throw BackingError(Errno.EINVAL);
        return (HeaderLayout.TryArrange(plain!, extensions, name) ?? throw BackingError(Errno.ENOSPC)).Bytes;
    }

    private BlockException BackingError(int errno)
    {
        string format = _layout.Options.BackingFormat is { } name ? $" with format '{name}'" : "";
        return BlockException.FromErrno(errno, $"Could not assign backing file '{_layout.Options.BackingFile}'{format}");
    }
}
