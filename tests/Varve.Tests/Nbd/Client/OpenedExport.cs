using System.Text.Json.Nodes;
using Varve.Graph;

namespace Varve.Tests.Nbd.Client;

/// <summary>A graph of a client's, with a server's export opened in it.</summary>
internal sealed class OpenedExport : IAsyncDisposable
{
    private OpenedExport(BlockGraph graph, BlockBackend backend) => (Graph, Backend) = (graph, backend);

    public BlockGraph Graph { get; }

    public BlockBackend Backend { get; }

    /// <summary>Opens the export <c>disk</c> for writing.</summary>
    public static Task<OpenedExport> OpenAsync(
        NbdTestServer server, Action<JsonObject>? change = null, BlockPermissions? needed = null)
    {
        var options = new JsonObject
        {
            ["driver"] = "nbd",
            ["export"] = "disk",
            ["server"] = new JsonObject { ["type"] = "unix", ["path"] = server.SocketPath },
        };
        change?.Invoke(options);
        return OpenAsync(options, needed: needed);
    }

    /// <summary>Opens what the options say.</summary>
    public static async Task<OpenedExport> OpenAsync(JsonObject options, Action<BlockGraph>? prepare = null, BlockPermissions? needed = null)
    {
        var graph = new BlockGraph();
        prepare?.Invoke(graph);
        options.TryAdd("driver", "nbd");
        options.TryAdd("discard", "unmap");
        bool isReadOnly = (bool?)options["read-only"] ?? false;
        needed ??= BlockPermissions.ConsistentRead | (isReadOnly ? BlockPermissions.None : BlockPermissions.Write);
        using IDisposable held = await graph.ControlLock.EnterAsync();
        BlockNode node = await graph.OpenNodeAsync(options, new OpenContext { References = ReferencePolicy.Everything });
        BlockBackend backend = await graph.OpenBackendAsync(node, needed.Value, BlockPermissions.All);
        await graph.ReleaseAsync(node);
        return new OpenedExport(graph, backend);
    }

    public async ValueTask DisposeAsync()
    {
        using (await Graph.ControlLock.EnterAsync()) await Backend.CloseAsync();
        await Graph.DisposeAsync();
    }
}
