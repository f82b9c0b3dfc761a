using System.Collections.Concurrent;
using Varve.Formats.Qcow2.Metadata;
using Varve.Interop.Runtime;

namespace Varve.Formats.Qcow2;

/// <summary>Compresses clusters, several at a time: no lock is held meanwhile.</summary>
internal sealed class ClusterCompressor(Qcow2CompressionType type)
{
    /// <summary>The reference inflates with a window of 4 KiB: no match reaches further back.</summary>
    private const int DeflateWindowBits = 12;

    private readonly ConcurrentBag<Zstd> _zstd = [];

    /// <summary>Compresses one cluster.</summary>
    /// <param name="cluster">A whole cluster.</param>
    /// <param name="packed">Room for less than a cluster.</param>
    /// <returns>Bytes written; null when the cluster does not get smaller.</returns>
    public int? TryCompress(ReadOnlySpan<byte> cluster, Span<byte> packed)
    {
        packed = packed[..Math.Min(packed.Length, cluster.Length - 1)];
        return type == Qcow2CompressionType.Zstd ? CompressZstd(cluster, packed) : CompressionNative.Deflate(cluster, packed, DeflateWindowBits);
    }

    private int? CompressZstd(ReadOnlySpan<byte> cluster, Span<byte> packed)
    {
        if (!_zstd.TryTake(out Zstd? zstd)) zstd = Zstd.Create();
        int? written = zstd.Compress(cluster, packed);
        _zstd.Add(zstd);
        return written;
    }
}
