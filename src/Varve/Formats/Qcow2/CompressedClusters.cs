using System.Collections.Concurrent;
using System.IO.Compression;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;
using ZstdSharp;

namespace Varve.Formats.Qcow2;

/// <summary>Reads compressed clusters. Nothing is locked while a cluster is read or decompressed.</summary>
internal sealed class CompressedClusters(BlockChild file, int clusterBits, Qcow2CompressionType type)
{
    private readonly ConcurrentBag<Decompressor> _decompressors = [];

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
            Decompress(packed, buffer.Span);
            return;
        }

        using IOBuffer cluster = IOBuffer.Rent(clusterSize);
        Decompress(packed, cluster.Span);
        cluster.Span.Slice(offsetInCluster, buffer.Length).CopyTo(buffer.Span);
    }

    private void Decompress(IOBuffer packed, Span<byte> cluster)
    {
        bool isWhole = type == Qcow2CompressionType.Zstd ? DecompressZstd(packed.Span, cluster) : Inflate(packed, cluster);
        if (!isWhole) throw BlockException.FromErrno(Errno.EIO);
    }

    private static bool Inflate(IOBuffer packed, Span<byte> cluster)
    {
        using var inflate = new DeflateStream(new BufferStream(packed.Memory), CompressionMode.Decompress);
        try
        {
            return inflate.ReadAtLeast(cluster, cluster.Length, throwOnEndOfStream: false) == cluster.Length;
        }
        catch (InvalidDataException)
        {
            return false;
        }
    }

    private bool DecompressZstd(ReadOnlySpan<byte> packed, Span<byte> cluster)
    {
        if (!_decompressors.TryTake(out Decompressor? decompressor)) decompressor = new Decompressor();
        try
        {
            decompressor.ResetStream();
            int done = 0;
            while (done < cluster.Length)
            {
                decompressor.UnwrapStream(packed, cluster[done..], out int consumed, out int written);
                if (consumed == 0 && written == 0) return false;   // the frame ended early, or more input would be needed
                packed = packed[consumed..];
                done += written;
            }

            _decompressors.Add(decompressor);
            decompressor = null;
            return true;
        }
        catch (ZstdException)
        {
            return false;
        }
        finally
        {
            decompressor?.Dispose();
        }
    }

    /// <summary>A read-only stream over a rented buffer.</summary>
    private sealed class BufferStream(ReadOnlyMemory<byte> bytes) : Stream
    {
        private int _position;

        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => bytes.Length;
        public override long Position { get => _position; set => throw new NotSupportedException(); }

        public override int Read(Span<byte> buffer)
        {
            int count = Math.Min(buffer.Length, bytes.Length - _position);
            bytes.Span.Slice(_position, count).CopyTo(buffer);
            _position += count;
            return count;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));
        public override void Flush() { }
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
