using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Varve.Nbd.Transport;

/// <summary>Makes listening sockets, with errors that say what could not be bound and why.</summary>
internal static class NbdListener
{
    private const int Backlog = 128;

    /// <summary>Bytes of a unix socket's path, its final NUL included: sockaddr_un.</summary>
    private const int MaxUnixPath = 108;

    public static Socket BindUnix(string path)
    {
        if (Encoding.UTF8.GetByteCount(path) >= MaxUnixPath)
        {
            throw new BlockException(BlockErrorKind.Invalid, $"UNIX socket path '{path}' is too long") { Hint = $"Path must be less than {MaxUnixPath} bytes" };
        }

        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            RemoveStaleSocket(path);
            socket.Bind(new UnixDomainSocketEndPoint(path));
            socket.Listen(Backlog);
            return socket;
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw Failure($"Failed to bind socket to {path}", e);
        }
    }

    public static Socket BindTcp(string host, int port)
    {
        IPAddress[] addresses = Resolve(host, port);
        SocketException? failure = null;
        foreach (IPAddress address in addresses)
        {
            var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                if (address.AddressFamily == AddressFamily.InterNetworkV6) socket.DualMode = address.Equals(IPAddress.IPv6Any);
                socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
                socket.Bind(new IPEndPoint(address, port));
                socket.Listen(Backlog);
                return socket;
            }
            catch (SocketException e)
            {
                socket.Dispose();
                failure = e;
            }
        }

        throw Failure("Failed to find an available port", failure!);
    }

    private static IPAddress[] Resolve(string host, int port)
    {
        if (host.Length == 0) return Socket.OSSupportsIPv6 ? [IPAddress.IPv6Any, IPAddress.Any] : [IPAddress.Any];
        try
        {
            return IPAddress.TryParse(host, out IPAddress? literal) ? [literal] : Dns.GetHostAddresses(host);
        }
        catch (SocketException)
        {
            throw new BlockException(BlockErrorKind.NotFound, $"address resolution failed for {host}:{port}: Name or service not known");
        }
    }

    // Differs from QEMU: only a socket is removed. A file of another kind at the path makes the bind fail instead of being lost.
    private static void RemoveStaleSocket(string path)
    {
        if (!File.Exists(path)) return;
        try
        {
            File.OpenHandle(path, access: FileAccess.ReadWrite).Dispose();
        }
        catch (IOException e) when (e.HResult == Errno.ENXIO)   // what open(2) says of a socket
        {
            File.Delete(path);
        }
    }

    private static BlockException Failure(string what, SocketException e)
    {
        // The platform reports a directory that does not exist as an address that is not available.
        int errno = e.SocketErrorCode == SocketError.AddressNotAvailable && what.Contains('/', StringComparison.Ordinal) ? Errno.ENOENT : e.NativeErrorCode;
        return new BlockException(Errno.KindOf(errno), $"{what}: {Errno.Text(errno)}", e) { Errno = errno };
    }
}
