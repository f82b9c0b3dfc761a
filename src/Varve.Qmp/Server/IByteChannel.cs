using Microsoft.Win32.SafeHandles;

namespace Varve.Qmp.Server;

/// <summary>A connection to one client: bytes both ways, and descriptors in where the transport carries them.</summary>
internal interface IByteChannel : IAsyncDisposable
{
    /// <summary>Reads what is there, at least one byte; 0 at the end.</summary>
    /// <param name="buffer">Filled from the start.</param>
    /// <param name="descriptors">Descriptors that came with the bytes are added; the caller owns them.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    ValueTask<int> ReadAsync(Memory<byte> buffer, ICollection<SafeFileHandle> descriptors, CancellationToken cancellationToken);

    /// <summary>Writes all of <paramref name="bytes"/>.</summary>
    ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken);
}
