using System.Runtime.CompilerServices;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

// The header in memory and on disk
//   1. The fixed part is changed by one write of the file's first 512 bytes, followed by a flush: after a power loss it is the
//      old or the new one, whole.
//   2. A header write that failed may or may not have reached the disk. Memory keeps the old header, _headerIsUncertain is set,
//      and before anything else is written to the image the header of memory is written again (see MetadataWriteback).

/// <content>Changes of the header's fixed part. Extensions and names: <c>Qcow2Image.Header.cs</c>.</content>
internal sealed partial class Qcow2Image
{
    private const int SectorBytes = 512;
    private readonly AsyncLock _headerLock = new();
    private bool _headerIsUncertain;

    /// <summary>The first sector as it must be, where a failed rewrite of extensions and names left the disk's in doubt.</summary>
    private byte[]? _settledSector;

    /// <summary>Changes fields of the header and makes the change durable. What was written before is durable first.</summary>
    /// <param name="change">Gets the header of the moment and returns the new one; header length and extensions stay.</param>
    /// <param name="cancellationToken">Honoured until the write is issued.</param>
    /// <returns>Done when the new header is durable. When it throws, the header in memory is the old one.</returns>
    internal async ValueTask UpdateHeaderAsync(Func<Qcow2Header, Qcow2Header> change, CancellationToken cancellationToken)
    {
        using AsyncLock.Holder held = await _headerLock.EnterAsync().ConfigureAwait(false);
        Qcow2Header header = change(_header);
        if (header == _header && !_headerIsUncertain) return;
        await WriteHeaderSectorAsync(header, cancellationToken).ConfigureAwait(false);
        _header = header;
    }

    /// <summary>Takes over a header that was rewritten whole (extensions and names too) and is durable.</summary>
    internal void AdoptHeader(Qcow2Header header)
    {
        _header = header;
        _headerIsUncertain = false;
    }

    /// <summary>Writes the header of memory again where a failed write left the disk's in doubt.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    internal async ValueTask SettleHeaderAsync(CancellationToken cancellationToken)
    {
        if (!_headerIsUncertain) return;
        using AsyncLock.Holder held = await _headerLock.EnterAsync().ConfigureAwait(false);
        if (_headerIsUncertain) await WriteHeaderSectorAsync(_header, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask WriteHeaderSectorAsync(Qcow2Header header, CancellationToken cancellationToken)
    {
        using IOBuffer sector = IOBuffer.Rent(SectorBytes);
        await _file.Node.ReadAsync(0, sector.Memory, cancellationToken).ConfigureAwait(false);
        _settledSector?.CopyTo(sector.Span);
        header.WriteTo(sector.Span);
        await _file.Node.FlushAsync(cancellationToken).ConfigureAwait(false);
        _headerIsUncertain = true;
        await _file.Node.WriteAsync(0, sector.Memory, WriteFlags.None, CancellationToken.None).ConfigureAwait(false);
        await _file.Node.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        _headerIsUncertain = false;
        _settledSector = null;
    }
}
