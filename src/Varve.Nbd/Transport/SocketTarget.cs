using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Microsoft.Win32.SafeHandles;

namespace Varve.Nbd.Transport;

/// <summary>An address to listen on or to connect to: QAPI's <c>SocketAddress</c>.</summary>
internal abstract record SocketTarget
{
    /// <summary>Reads a checked <c>SocketAddress</c> or <c>SocketAddressLegacy</c>.</summary>
    public static SocketTarget From(JsonObject address)
    {
        JsonObject data = address["data"] as JsonObject ?? address;
        return (string?)address["type"] switch
        {
            "unix" => new UnixTarget((string)data["path"]!, (bool?)data["abstract"] ?? false),
            "inet" => new InetTarget((string)data["host"]!, (string)data["port"]!, (bool?)data["ipv4"], (bool?)data["ipv6"], (int?)(long?)data["to"]),
            "fd" => new DescriptorTarget((string)data["str"]!),
            var type => throw new BlockException(BlockErrorKind.Unsupported, $"socket family {type} unsupported"),
        };
    }

    public abstract ValueTask<Socket> ListenAsync(CancellationToken cancellationToken);

    public abstract ValueTask<Socket> ConnectAsync(CancellationToken cancellationToken);

    /// <summary>Whether there is more than one connection to be had.</summary>
    public virtual bool CanConnectAgain => true;

    /// <summary>Removes what listening left in the file system.</summary>
    public virtual void RemoveListener() { }

    private protected static async ValueTask<Socket> ConnectAsync(EndPoint endPoint, string name, CancellationToken cancellationToken)
    {
        var socket = new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(endPoint, cancellationToken).ConfigureAwait(false);
            return socket;
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw Failure("connect to", name, e);
        }
    }

    /// <summary>What to say of a failed call; <paramref name="name"/> is a path or an address.</summary>
    private protected static BlockException Failure(string what, string? name, SocketException e)
    {
        int errno = e.SocketErrorCode switch
        {
            SocketError.AddressAlreadyInUse => Errno.EADDRINUSE,
            SocketError.ConnectionRefused => Errno.ECONNREFUSED,
            SocketError.AccessDenied => Errno.EACCES,
            SocketError.AddressNotAvailable when name?.Contains('/') == true => Errno.ENOENT,   // how the platform reports a missing directory
            _ => e.NativeErrorCode,
        };
        return new BlockException(Errno.KindOf(errno), $"Failed to {what}{(name is null ? "" : " " + name)}: {Errno.Text(errno)}", e) { Errno = errno };
    }
}

/// <summary>A unix socket, by path or by abstract name.</summary>
internal sealed record UnixTarget(string Path, bool IsAbstract = false) : SocketTarget
{
    private const int MaxPath = 107;   // sun_path, without the terminating zero

    public override ValueTask<Socket> ListenAsync(CancellationToken cancellationToken)
    {
        if (!IsAbstract) return new ValueTask<Socket>(NbdListener.BindUnix(Path));
        CheckLength();
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Bind(new UnixDomainSocketEndPoint("\0" + Path));
            socket.Listen();
            return new ValueTask<Socket>(socket);
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw Failure("bind socket to", Path, e);
        }
    }

    public override ValueTask<Socket> ConnectAsync(CancellationToken cancellationToken)
    {
        CheckLength();
        if (Path.Length == 0) throw Failure("connect to", "''", new SocketException((int)SocketError.ConnectionRefused));
        return ConnectAsync(new UnixDomainSocketEndPoint((IsAbstract ? "\0" : "") + Path), $"'{Path}'", cancellationToken);
    }

    public override void RemoveListener()
    {
        if (!IsAbstract) File.Delete(Path);
    }

    private void CheckLength()
    {
        if (System.Text.Encoding.UTF8.GetByteCount(Path) > MaxPath)
        {
            throw new BlockException(BlockErrorKind.Invalid, $"UNIX socket path '{Path}' is too long")
            {
                Hint = $"Path must be less than {MaxPath + 1} bytes",
            };
        }
    }

    public override string ToString() => $"unix:{Path}";
}

/// <summary>A TCP address.</summary>
internal sealed record InetTarget(string Host, string Port, bool? IPv4 = null, bool? IPv6 = null, int? LastPort = null) : SocketTarget
{
    public override async ValueTask<Socket> ListenAsync(CancellationToken cancellationToken)
    {
        BlockException? failure = null;
        foreach (IPAddress address in await ResolveAsync(cancellationToken).ConfigureAwait(false))
        {
            var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
                socket.Bind(new IPEndPoint(address, PortNumber()));
                socket.Listen();
                return socket;
            }
            catch (SocketException e)
            {
                socket.Dispose();
                failure = Failure("find an available port", null, e);
            }
        }

        throw failure ?? NotResolved(null);
    }

    public override async ValueTask<Socket> ConnectAsync(CancellationToken cancellationToken)
    {
        BlockException? failure = null;
        foreach (IPAddress address in await ResolveAsync(cancellationToken).ConfigureAwait(false))
        {
            try
            {
                Socket socket = await ConnectAsync(new IPEndPoint(address, PortNumber()), $"'{Host}:{Port}'", cancellationToken).ConfigureAwait(false);
                socket.NoDelay = true;
                return socket;
            }
            catch (BlockException e)
            {
                failure = e;
            }
        }

        throw failure ?? NotResolved(null);
    }

    private async ValueTask<IEnumerable<IPAddress>> ResolveAsync(CancellationToken cancellationToken)
    {
        IPAddress[] addresses;
        try
        {
            addresses = Host.Length == 0 ? [IPAddress.Any]
                : IPAddress.TryParse(Host, out IPAddress? literal) ? [literal]
                : await Dns.GetHostAddressesAsync(Host, cancellationToken).ConfigureAwait(false);
        }
        catch (SocketException e)
        {
            throw NotResolved(e);
        }

        return addresses.Where(a => a.AddressFamily == AddressFamily.InterNetwork ? IPv4 ?? IPv6 is not true : IPv6 ?? IPv4 is not true);
    }

    private int PortNumber()
        => ushort.TryParse(Port, NumberStyles.None, CultureInfo.InvariantCulture, out ushort port)
            ? port
            : throw new BlockException(BlockErrorKind.NotFound, $"address resolution failed for {Host}:{Port}: Servname not supported for ai_socktype");

    private BlockException NotResolved(Exception? inner)
        => new(BlockErrorKind.NotFound, $"address resolution failed for {Host}:{Port}: Name or service not known", inner);

    public override string ToString() => $"tcp:{Host}:{Port}";
}

/// <summary>A socket the process was given: <c>fd=3</c>.</summary>
internal sealed record DescriptorTarget(string Name) : SocketTarget
{
    public override ValueTask<Socket> ListenAsync(CancellationToken cancellationToken) => new(Adopt());

    public override ValueTask<Socket> ConnectAsync(CancellationToken cancellationToken) => new(Adopt());

    /// <summary>A descriptor is one connection; later its number may be that of anything.</summary>
    public override bool CanConnectAgain => false;

    /// <summary>The descriptor, where the name is not its number.</summary>
    public SafeFileHandle? Descriptor { get; init; }

    private Socket Adopt()
    {
        try
        {
            return new Socket(new SafeSocketHandle(Handle(), ownsHandle: true));
        }
        catch (SocketException e)
        {
            throw new BlockException(BlockErrorKind.Invalid, $"File descriptor '{Name}' is not a socket", e);
        }
    }

    private nint Handle()
    {
        if (Descriptor is { } passed)
        {
            nint handle = passed.DangerousGetHandle();
            passed.SetHandleAsInvalid();
            return handle;
        }

        return int.TryParse(Name, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            ? number
            : throw new BlockException(BlockErrorKind.Invalid, $"Unable to parse FD number {Name}");
    }

    public override string ToString() => $"fd:{Name}";
}
