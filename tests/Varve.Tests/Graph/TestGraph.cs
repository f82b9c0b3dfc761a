using System.Text.Json.Nodes;
using Varve.Filters.CopyOnRead;
using Varve.Formats.Qcow2;
using Varve.Formats.Raw;
using Varve.Graph;
using Varve.Options;
using Varve.Protocols.File;
using Varve.Protocols.Null;
using Varve.Tests.Support;

namespace Varve.Tests.Graph;

/// <summary>A graph with real drivers and one in memory, a directory, and short ways to say what to open.</summary>
internal sealed class TestGraph : IAsyncDisposable
{
    public TestGraph()
        => Graph = new BlockGraph(new BlockDrivers(
            [new FileDriver(), new NullDriver("null-co"), new Qcow2Driver(), new RawDriver(), new CopyOnReadDriver(), Memory, new OverlayDriver()]));

    public MemoryDriver Memory { get; } = new();

    public BlockGraph Graph { get; }

    public TempDirectory Directory { get; } = new();

    /// <summary>Opened with every reference allowed, as the tools do.</summary>
    public static OpenContext Everything { get; } = new() { References = ReferencePolicy.Everything };

    /// <summary>Options as JSON with single quotes; <c>$</c> is the test's directory.</summary>
    public ValueTask<BlockNode> AddAsync(string json, OpenContext? context = null)
        => Graph.AddNodeAsync((JsonObject)LenientJson.Parse(json.Replace("$", Directory.Path, StringComparison.Ordinal))!, context ?? Everything);

    public ValueTask<BlockNode> OpenAsync(string filename, OpenContext? context = null, bool readOnly = true)
        => Graph.OpenImageAsync(
            filename.Replace("$", Directory.Path, StringComparison.Ordinal), null, context ?? Everything, new NodeSettings { ReadOnly = readOnly });

    /// <summary>Creates a qcow2 image that records <paramref name="backing"/> verbatim.</summary>
    public async Task<string> CreateAsync(string name, string? backing = null, string? format = null, long size = 1 << 20)
    {
        var options = new JsonObject { ["size"] = size };
        if (backing is not null) options["backing-file"] = backing.Replace("$", Directory.Path, StringComparison.Ordinal);
        if (format is not null) options["backing-fmt"] = format;
        await Graph.Drivers.Find("file")!.CreateAsync(Graph, new JsonObject { ["filename"] = Directory[name], ["size"] = 0L }, default);
        options["file"] = new JsonObject { ["driver"] = "file", ["filename"] = Directory[name] };
        await Graph.Drivers.Find("qcow2")!.CreateAsync(Graph, options, default);
        return Directory[name];
    }

    public ValueTask<BlockBackend> UseAsync(
        BlockNode node, BlockPermissions needed = BlockPermissions.ConsistentRead | BlockPermissions.Write, BlockPermissions shared = BlockPermissions.All)
        => Graph.OpenBackendAsync(node, needed, shared);

    public async ValueTask DisposeAsync()
    {
        await Graph.DisposeAsync();
        Directory.Dispose();
    }
}
