using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Protocols.File;
using Varve.Tests.Support;

namespace Varve.Tests.Protocols.File;

/// <summary>A graph with file nodes in a directory of its own.</summary>
internal sealed class FileFixture(FileDriver? driver = null) : IAsyncDisposable
{
    public const BlockPermissions ReadWrite = BlockPermissions.ConsistentRead | BlockPermissions.Write | BlockPermissions.Resize;

    private readonly List<BlockBackend> _backends = [];

    public TempDirectory Directory { get; } = new();

    public BlockGraph Graph { get; } = new(driver is null ? null : new BlockDrivers([driver]));

    public Task<BlockNode> OpenNodeAsync(string filename, NodeSettings? settings = null, JsonObject? options = null)
    {
        options ??= [];
        options["driver"] = "file";
        options["filename"] = filename;
        return Graph.OpenNodeAsync(options, new OpenContext(), settings ?? new NodeSettings { Discard = true }).AsTask();
    }

    /// <summary>A way into a node; our hold on the node goes over to it.</summary>
    public async Task<BlockBackend> UseAsync(
        BlockNode node, BlockPermissions needed = ReadWrite, BlockPermissions shared = BlockPermissions.All & ~BlockPermissions.Resize)
    {
        BlockBackend backend = await Graph.OpenBackendAsync(node, needed, shared);
        _backends.Add(backend);
        return backend;
    }

    public async Task<BlockBackend> OpenAsync(string filename, NodeSettings? settings = null, JsonObject? options = null)
        => await UseAsync(await OpenNodeAsync(filename, settings, options), settings is { ReadOnly: true } ? BlockPermissions.ConsistentRead : ReadWrite);

    public async Task CloseAsync(BlockBackend backend)
    {
        BlockNode node = backend.Node;
        _backends.Remove(backend);
        await backend.CloseAsync();
        if (node.ExplicitReferences > 0) await Graph.ReleaseAsync(node);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (BlockBackend backend in _backends) await backend.CloseAsync();
        await Graph.DisposeAsync();
        Directory.Dispose();
    }
}
