using Microsoft.Win32.SafeHandles;

namespace Varve.Qmp.Server;

/// <summary>A client at the other end of one or two streams: standard input and output, a pipe.</summary>
internal sealed class StreamChannel(Stream input, Stream output, bool leaveOpen = false) : IByteChannel
{
    public ValueTask<int> ReadAsync(Memory<byte> buffer, ICollection<SafeFileHandle> descriptors, CancellationToken cancellationToken)
        => input.ReadAsync(buffer, cancellationToken);

    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        await output.WriteAsync(bytes, cancellationToken).ConfigureAwait(false);
        await output.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        if (leaveOpen) return;
        await input.DisposeAsync().ConfigureAwait(false);
        await output.DisposeAsync().ConfigureAwait(false);
    }
}
