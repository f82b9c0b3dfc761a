using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Nbd.Server;
using Varve.Tests.Support;

namespace Varve.Tests.Nbd;

/// <summary>A graph with one node in memory (<c>disk</c>), a server on a unix socket, and the registry between them.</summary>
internal sealed class NbdTestServer : IAsyncDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("varve-nbd-");

    private NbdTestServer(BlockDrivers drivers)
    {
        Graph = new BlockGraph(drivers);
        Exports = new ExportRegistry(Graph) { ExportDeleted = id => Deleted.Add(id) };
    }

    public BlockGraph Graph { get; }

    public ExportRegistry Exports { get; }

    public NbdServer Server { get; private set; } = null!;

    /// <summary>Ids of exports that were reported deleted.</summary>
    public List<string> Deleted { get; } = [];

    /// <summary>What the server reported as defects: always empty.</summary>
    public List<Exception> Defects { get; } = [];

    /// <summary>Why handshakes came to no end.</summary>
    public ConcurrentQueue<string> FailedNegotiations { get; } = [];

    public string SocketPath => Path.Combine(_directory.FullName, "socket");

    public string Uri(string export = "disk") => $"nbd+unix:///{export}?socket={SocketPath}";

    /// <summary>A file of this test's own.</summary>
    public string PathOf(string name) => Path.Combine(_directory.FullName, name);

    public MemoryNode Memory => (MemoryNode)Graph.FindNode("disk")!;

    /// <summary>Starts a server with one writable export <c>disk</c>.</summary>
    public static async Task<NbdTestServer> StartAsync(
        NbdServerOptions? options = null, int size = 1 << 20, Func<NbdExportOptions, NbdExportOptions>? export = null)
    {
        NbdTestServer server = await StartAsync(new JsonObject { ["driver"] = "memory", ["node-name"] = "disk", ["size"] = (long)size }, options);
        NbdExportOptions plain = new() { Id = "export", Node = server.Memory, Writable = true };
        await server.ControlAsync(() => server.Exports.AddAsync(export?.Invoke(plain) ?? plain).AsTask());
        return server;
    }

    /// <summary>Starts a server without an export over a node of the caller's choice.</summary>
    public static async Task<NbdTestServer> StartAsync(JsonObject node, NbdServerOptions? options = null)
    {
        var server = new NbdTestServer(new([.. BlockDrivers.Default.All, new MemoryDriver()]));
        server.Server = NbdServer.ListenUnix(server.SocketPath, options);
        server.Server.ConnectionFailed = server.Defects.Add;
        server.Server.NegotiationFailed = server.FailedNegotiations.Enqueue;
        server.Exports.SetNbdServer(server.Server);
        await server.ControlAsync(() => server.Graph.OpenNodeAsync(node, new OpenContext { References = ReferencePolicy.Everything }).AsTask());
        return server;
    }

    /// <summary>Ends the server; the node stays.</summary>
    public Task StopAsync() => ControlAsync(() => Exports.ShutdownAsync().AsTask());

    /// <summary>Starts it again at the same place, with the same export or a changed one.</summary>
    public async Task RestartAsync(Func<NbdExportOptions, NbdExportOptions>? export = null)
    {
        Server = NbdServer.ListenUnix(SocketPath);
        Server.ConnectionFailed = Defects.Add;
        Exports.SetNbdServer(Server);
        NbdExportOptions plain = new() { Id = "export", Node = Memory, Writable = true };
        await ControlAsync(() => Exports.AddAsync(export?.Invoke(plain) ?? plain).AsTask());
    }

    public Task<NbdTestClient> ConnectAsync() => NbdTestClient.ConnectAsync(SocketPath);

    /// <summary>Runs a change of the graph or the exports under the control lock.</summary>
    public async Task<T> ControlAsync<T>(Func<Task<T>> change)
    {
        using IDisposable held = await Graph.ControlLock.EnterAsync();
        return await change();
    }

    public async Task ControlAsync(Func<Task> change)
    {
        using IDisposable held = await Graph.ControlLock.EnterAsync();
        await change();
    }

    public async Task RemoveAsync(string id, ExportRemoveMode mode = ExportRemoveMode.Safe)
    {
        using IDisposable held = await Graph.ControlLock.EnterAsync();
        Exports.Remove(id, mode);
    }

    public async ValueTask DisposeAsync()
    {
        await ControlAsync(() => Exports.ShutdownAsync().AsTask());
        await Graph.DisposeAsync();
        _directory.Delete(recursive: true);
        Assert.Empty(Defects);
    }
}
