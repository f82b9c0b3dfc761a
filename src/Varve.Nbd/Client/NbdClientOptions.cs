using Varve.Nbd.Transport;
using Varve.Tls;

namespace Varve.Nbd.Client;

/// <summary>Which server to speak to, about which export, and how patiently.</summary>
internal sealed record NbdClientOptions
{
    public required SocketTarget Server { get; init; }

    /// <summary>The name asked for; the empty one is the server's default.</summary>
    public string Export { get; init; } = "";

    /// <summary>The context that block status comes from: <c>base:allocation</c> unless the user knows better (<c>x-dirty-bitmap</c>).</summary>
    public string StatusContext { get; init; } = BaseAllocation;

    /// <summary>Encrypts the connection; null: in the clear.</summary>
    public TlsUpgrade? Tls { get; init; }

    /// <summary>Connections at most, 1 to <see cref="MaxConnections"/>; a server that does not say CAN_MULTI_CONN gets one.</summary>
    public int Connections { get; init; } = 1;

    /// <summary>How long requests wait for a lost server to come back before they fail. Zero: they fail at once.</summary>
    public TimeSpan ReconnectDelay { get; init; }

    /// <summary>How long opening tries to connect. Zero: once.</summary>
    public TimeSpan OpenTimeout { get; init; }

    /// <summary>How long a server may take from being connected to transmission.</summary>
    /// <remarks>Differs from QEMU: it waits for ever.</remarks>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(30);

    public const int MaxConnections = 16;

    public const string BaseAllocation = "base:allocation";

    public const string AllocationDepth = "qemu:allocation-depth";

    /// <summary>How a connection is encrypted with credentials; null without any.</summary>
    /// <param name="credentials">The client's.</param>
    /// <param name="hostname">The name in the server's certificate; null: the host that is connected to.</param>
    /// <param name="server">What is connected to; a unix socket has no name of its own.</param>
    public static TlsUpgrade? UpgradeWith(TlsCredentials? credentials, string? hostname, SocketTarget server)
    {
        if (credentials is null) return null;
        hostname ??= (server as InetTarget)?.Host;
        return transport => TlsTransport.Over(transport, channel => TlsSession.Connect(channel, credentials, hostname));
    }
}
