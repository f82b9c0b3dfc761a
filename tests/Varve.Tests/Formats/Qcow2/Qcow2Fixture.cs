using System.Text.Json.Nodes;
using Varve.Formats.Qcow2;
using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>A graph with qcow2 nodes on files in a directory of its own.</summary>
internal sealed class Qcow2Fixture : IAsyncDisposable
{
    public const BlockPermissions ReadWrite = BlockPermissions.ConsistentRead | BlockPermissions.Write | BlockPermissions.Resize;

    private readonly List<BlockBackend> _backends = [];

    public TempDirectory Directory { get; } = new();

    public BlockGraph Graph { get; } = new();

    /// <summary>Makes an image with the reference's tool.</summary>
    public string CreateByReference(string name, string size, string options = "", string? backing = null)
    {
        string path = Directory[name];
        string[] arguments = ["create", "-q", "-f", "qcow2", .. options.Length > 0 ? ["-o", options] : Array.Empty<string>(),
            .. backing is null ? Array.Empty<string>() : ["-b", backing, "-F", "qcow2"], path, size];
        ReferenceTool.Run("qemu-img", arguments);
        return path;
    }

    /// <summary>Opens an image, with the given runtime options beside file name and driver.</summary>
    public async Task<BlockBackend> OpenAsync(string path, bool readOnly = false, JsonObject? options = null)
    {
        options ??= [];
        options["driver"] = "qcow2";
        options["file"] = new JsonObject { ["driver"] = "file", ["filename"] = path };
        var context = new OpenContext { References = ReferencePolicy.Everything };
        BlockNode node = await Graph.OpenNodeAsync(options, context, new NodeSettings { Discard = true, ReadOnly = readOnly });
        BlockBackend backend = await Graph.OpenBackendAsync(
            node, readOnly ? BlockPermissions.ConsistentRead : ReadWrite, BlockPermissions.ConsistentRead | BlockPermissions.WriteUnchanged);
        await Graph.ReleaseAsync(node);
        _backends.Add(backend);
        return backend;
    }

    public async Task CloseAsync(BlockBackend backend)
    {
        _backends.Remove(backend);
        await backend.CloseAsync();
    }

    /// <summary>The reference finds neither corruptions nor leaks.</summary>
    public static void AssertClean(string path)
    {
        (int exitCode, string output) = ReferenceTool.TryRun("qemu-img", "check", "-f", "qcow2", path);
        Assert.True(exitCode == 0, output);
    }

    public static Qcow2Image ImageOf(BlockBackend backend) => (Qcow2Image)backend.Node;

    public async ValueTask DisposeAsync()
    {
        foreach (BlockBackend backend in _backends) await backend.CloseAsync();
        await Graph.DisposeAsync();
        Directory.Dispose();
    }
}
