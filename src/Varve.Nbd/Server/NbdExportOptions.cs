using Varve.Graph;
using Varve.Nbd.Transport;
using Varve.Objects;
using Varve.Tls;

namespace Varve.Nbd.Server;

/// <summary>How a node is offered to NBD clients: QMP's <c>BlockExportOptions</c> of type <c>nbd</c>.</summary>
internal sealed record NbdExportOptions
{
    /// <summary>The export's name for the control plane; unique among all exports.</summary>
    public required string Id { get; init; }

    /// <summary>What is exported.</summary>
    public required BlockNode Node { get; init; }

    /// <summary>The name clients ask for; at most 4096 bytes. Null: the node's name.</summary>
    public string? Name { get; init; }

    /// <summary>A text for people, shown in lists; at most 4096 bytes.</summary>
    public string? Description { get; init; }

    public bool Writable { get; init; }

    /// <summary>Every write is durable before it is answered.</summary>
    public bool Writethrough { get; init; }

    /// <summary>Each is offered as a context <c>qemu:dirty-bitmap:NAME</c>.</summary>
    public IReadOnlyList<ExportedBitmap> Bitmaps { get; init; } = [];

    /// <summary>Offer the <c>qemu:allocation-depth</c> context.</summary>
    public bool AllocationDepth { get; init; }
}

/// <summary>How a server treats its clients.</summary>
internal sealed record NbdServerOptions
{
    /// <summary>Clients served at a time; more wait to be accepted. 0: any number. 1 also stops the announcement of multi-conn.</summary>
    public int MaxConnections { get; init; }

    /// <summary>Clients must encrypt; null: they cannot.</summary>
    public TlsUpgrade? Tls { get; init; }

    /// <summary>How clients are encrypted and looked at; null without credentials.</summary>
    /// <param name="objects">Where the authorizer is looked up when a client comes.</param>
    /// <param name="credentials">The server's.</param>
    /// <param name="authorizer">The id of who decides by the client's certificate; null: nobody is asked.</param>
    public static TlsUpgrade? UpgradeWith(ObjectRegistry objects, TlsCredentials? credentials, string? authorizer)
        => credentials is null ? null : transport => TlsTransport.Over(
            transport, channel => TlsSession.Accept(channel, credentials, objects.FindAuthorizer(authorizer)));

    /// <summary>How long a client may take from connecting to transmission before it is dropped and its place given on.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>Whether an export with clients may be removed (QMP <c>BlockExportRemoveMode</c>).</summary>
internal enum ExportRemoveMode { Safe, Hard }

/// <summary>One line of <c>query-block-exports</c>.</summary>
/// <param name="Id">The control plane's name.</param>
/// <param name="Type">QMP <c>BlockExportType</c>.</param>
/// <param name="NodeName">What is exported now.</param>
/// <param name="IsShuttingDown">Removal has begun, clients are still being let go.</param>
internal sealed record BlockExportInfo(string Id, string Type, string NodeName, bool IsShuttingDown);
