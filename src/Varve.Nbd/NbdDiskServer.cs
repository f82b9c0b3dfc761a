using System.Net;
using Varve.Nbd.Server;

namespace Varve.Nbd;

/// <summary>Serves opened disks to NBD clients: guests, <c>nbdcopy</c>, kernels, other hosts.</summary>
/// <remarks>
/// Fixed newstyle handshake, structured replies, block status, several connections per export. Clients are strangers: one that stalls,
/// lies about lengths or leaves in the middle of a request harms only itself. There is no encryption: offer TCP to networks you trust.
/// </remarks>
public sealed class NbdDiskServer : IAsyncDisposable
{
    private readonly BlockLayer _layer;
    private readonly ExportRegistry _exports;
    private int _ids;

    private NbdDiskServer(BlockLayer layer, NbdServer server)
    {
        _layer = layer;
        _exports = new ExportRegistry(layer.Graph);
        _exports.SetNbdServer(server);
    }

    /// <summary>Where clients connect: the port chosen, when port 0 was asked for.</summary>
    public EndPoint? LocalEndPoint => _exports.NbdServer?.LocalEndPoint;

    /// <summary>Listens on a unix socket; a socket that is left over at the path is replaced.</summary>
    /// <param name="layer">The layer whose disks are served.</param>
    /// <param name="path">Of the socket; removed when the server is disposed.</param>
    /// <exception cref="BlockException">The path cannot be bound.</exception>
    public static NbdDiskServer ListenUnix(BlockLayer layer, string path)
    {
        ArgumentNullException.ThrowIfNull(layer);
        ArgumentException.ThrowIfNullOrEmpty(path);
        return new NbdDiskServer(layer, NbdServer.ListenUnix(path));
    }

    /// <summary>Listens on a TCP port.</summary>
    /// <param name="layer">The layer whose disks are served.</param>
    /// <param name="host">A name or an address of this host.</param>
    /// <param name="port">10809 is NBD's; 0 takes a free one, see <see cref="LocalEndPoint"/>.</param>
    /// <exception cref="BlockException">The port cannot be bound.</exception>
    public static NbdDiskServer ListenTcp(BlockLayer layer, string host, int port)
    {
        ArgumentNullException.ThrowIfNull(layer);
        ArgumentException.ThrowIfNullOrEmpty(host);
        return new NbdDiskServer(layer, NbdServer.ListenTcp(host, port));
    }

    /// <summary>Offers a disk under a name. It goes on being served when the caller disposes its own handle of it.</summary>
    /// <param name="disk">Opened by this server's layer.</param>
    /// <param name="name">What clients ask for; the empty name is the default export. At most 4096 bytes of UTF-8.</param>
    /// <param name="writable">Whether clients may write; the disk must have been opened for it.</param>
    /// <param name="cancellationToken">Ends waiting for the layer.</param>
    /// <exception cref="BlockException">The name is taken or too long, or the disk is read-only.</exception>
    public async Task AddAsync(VirtualDisk disk, string name, bool writable = false, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(disk);
        ArgumentNullException.ThrowIfNull(name);
        using IDisposable held = await _layer.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        await _exports.AddAsync(
            new NbdExportOptions { Id = $"disk{_ids++}", Node = disk.Node, Name = name, Writable = writable }, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Stops listening, disconnects every client once its requests are done, and lets go of the disks.</summary>
    public async ValueTask DisposeAsync()
    {
        using IDisposable held = await _layer.Graph.ControlLock.EnterAsync().ConfigureAwait(false);
        await _exports.ShutdownAsync().ConfigureAwait(false);
    }
}
