using System.Net.Sockets;
using Microsoft.Win32.SafeHandles;
using Varve.Qmp.Interop;

namespace Varve.Qmp.Server;

/// <summary>A client on a stream socket; on a unix socket it may pass descriptors.</summary>
internal sealed class SocketChannel(Socket socket) : IByteChannel
{
    private readonly bool _passesDescriptors = socket.AddressFamily == AddressFamily.Unix && OperatingSystem.IsLinux();

    public async ValueTask<int> ReadAsync(Memory<byte> buffer, ICollection<SafeFileHandle> descriptors, CancellationToken cancellationToken)
    {
        if (!_passesDescriptors) return await socket.ReceiveAsync(buffer, cancellationToken).ConfigureAwait(false);
        while (true)
        {
            // A receive of no bytes completes when there is something to read; the read itself must see the control messages.
            await socket.ReceiveAsync(Memory<byte>.Empty, cancellationToken).ConfigureAwait(false);
            if (DescriptorPassing.TryReceive(socket.SafeHandle, buffer.Span, descriptors, out int count)) return count;
        }
    }

    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        while (!bytes.IsEmpty)
        {
            int sent = await socket.SendAsync(bytes, cancellationToken).ConfigureAwait(false);
            bytes = bytes[sent..];
        }
    }

    public ValueTask DisposeAsync()
    {
        socket.Dispose();
        return default;
    }
}
