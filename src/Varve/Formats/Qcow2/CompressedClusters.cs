using System.Collections.Concurrent;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;
using Varve.Interop.Runtime;

namespace Varve.Formats.Qcow2;

/// <summary>Reads compressed clusters. Nothing is locked while a cluster is read or decompressed.</summary>
internal sealed class CompressedClusters(BlockChild file, int clusterBits, Qcow2CompressionType type)
{
    private readonly ConcurrentBag<Zstd> _zstd = [];

    /// <summary>Reads part of a compressed cluster.</summary>
    /// <param name="entry">Its L2 entry.</param>
    /// <param name="offsetInCluster">Where in the decompressed cluster the part begins.</param>
    /// <param name="buffer">Gets the part; it ends inside the cluster.</param>
    /// <param name="cancellationToken">Ends waiting.</param>
    /// <exception cref="BlockException"><c>Io</c>: the bytes do not decompress to a whole cluster.</exception>
    public async ValueTask ReadAsync(L2Entry entry, int offsetInCluster, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        CompressedExtent extent = entry.Compressed(clusterBits);
        int clusterSize = 1 << clusterBits;
        using IOBuffer packed = IOBuffer.Rent(extent.MaxLength);
        await file.Node.DebugEventAsync(BlkdebugEvent.ReadCompressed).ConfigureAwait(false);
        await file.Node.ReadAsync(extent.Host.Value, packed.Memory, cancellationToken).ConfigureAwait(false);
        if (offsetInCluster == 0 && buffer.Length == clusterSize)
        {
            Decompress(packed.Span, buffer.Span);
            return;
        }

        using IOBuffer cluster = IOBuffer.Rent(clusterSize);
        Decompress(packed.Span, cluster.Span);
        cluster.Span.Slice(offsetInCluster, buffer.Length).CopyTo(buffer.Span);
    }

    private void Decompress(ReadOnlySpan<byte> packed, Span<byte> cluster)
    {
        bool isWhole = type == Qcow2CompressionType.Zstd ? DecompressZstd(packed, cluster) : CompressionNative.Inflate(packed, cluster);
        if (!isWhole) throw BlockException.FromErrno(Errno.EIO);
    }

    private bool DecompressZstd(ReadOnlySpan<byte> packed, Span<byte> cluster)
    {
        if (!_zstd.TryTake(out Zstd? zstd)) zstd = Zstd.Create();
        bool isWhole = zstd.Decompress(packed, cluster);
        if (isWhole) _zstd.Add(zstd);
        else zstd.Dispose();   // with whatever window a hostile frame made it take
        return isWhole;
    }
}
