using System.Text.Json.Nodes;
using Varve.Filters.CopyOnRead;
using Varve.Formats.Qcow2;
using Varve.Formats.Raw;
using Varve.Graph;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>A qcow2 image, <c>image</c>, and files beside it, opened and closed as often as a test likes.</summary>
internal abstract class ReopenedImage : IAsyncDisposable
{
    public const string Password = "123456";

    private readonly Qcow2Driver _driver = new();

    protected ReopenedImage(BlockDriver protocol, TimeProvider? time)
    {
        Protocol = protocol;
        Graph = new BlockGraph(new BlockDrivers([protocol, _driver, new RawDriver(), new CopyOnReadDriver()]), time);
    }

    public BlockGraph Graph { get; }

    /// <summary>Whether opening takes the secret <c>s</c>, which is <see cref="Password"/>.</summary>
    public bool IsEncrypted { get; private set; }

    protected BlockDriver Protocol { get; }

    /// <summary>The options of the node that a file is.</summary>
    public abstract JsonObject NodeOf(string name);

    /// <summary>Makes a file that holds just these bytes.</summary>
    public abstract void Put(string name, byte[] bytes);

    /// <summary>What a file holds.</summary>
    public abstract byte[] Get(string name);

    public async Task CreateAsync(string name, long size, string options = "{}")
    {
        Put(name, []);
        JsonObject create = JsonNode.Parse(options)!.AsObject();
        create["file"] = NodeOf(name);
        create["size"] = size;
        if (create["encrypt"] is not null && !IsEncrypted)
        {
            Graph.Objects.Add(new JsonObject { ["qom-type"] = "secret", ["id"] = "s", ["data"] = Password });
            IsEncrypted = true;
        }

        await _driver.CreateAsync(Graph, create, default);
    }

    /// <summary>Opens the image and holds a writable backend at it.</summary>
    public async Task<OpenedImage> OpenAsync(bool readOnly = false, bool forCheck = false, string name = "image", JsonObject? backing = null, JsonObject? options = null,
        bool mayResize = true)
    {
        options ??= [];
        options["driver"] = "qcow2";
        options["read-only"] = readOnly;
        options["discard"] = "unmap";
        options["file"] = NodeOf(name);
        if (IsEncrypted) options["encrypt"] = new JsonObject { ["key-secret"] = "s" };
        if (backing is not null) options["backing"] = backing;
        using IDisposable held = await Graph.ControlLock.EnterAsync();
        BlockNode node = await Graph.OpenNodeAsync(options, new OpenContext { ForCheck = forCheck, NoBacking = forCheck });
        BlockPermissions needed = readOnly ? BlockPermissions.ConsistentRead : BlockPermissions.ConsistentRead | BlockPermissions.Write;
        if (mayResize && !readOnly) needed |= BlockPermissions.Resize;
        BlockBackend backend = await Graph.OpenBackendAsync(node, needed, BlockPermissions.All);
        await Graph.ReleaseAsync(node);
        return new OpenedImage(Graph, (Qcow2Image)node, backend);
    }

    /// <summary>Checks what the file holds now; returns the driver's lines.</summary>
    public async Task<(CheckResult Result, List<string> Lines)> CheckAsync(CheckRepair repair = CheckRepair.None, JsonObject? options = null)
    {
        await using OpenedImage opened = await OpenAsync(readOnly: repair == CheckRepair.None, forCheck: true, options: options);
        var lines = new LineList();
        return (await opened.Node.CheckAsync(repair, lines, default), lines.Lines);
    }

    public virtual ValueTask DisposeAsync() => Graph.DisposeAsync();

    private sealed class LineList : IProgress<string>
    {
        public List<string> Lines { get; } = [];

        public void Report(string value) => Lines.Add(value);
    }
}

/// <summary>An open image of a <see cref="ReopenedImage"/>.</summary>
internal sealed class OpenedImage(BlockGraph graph, Qcow2Image node, BlockBackend backend) : IAsyncDisposable
{
    public Qcow2Image Node { get; } = node;

    public BlockBackend Backend { get; } = backend;

    public async ValueTask DisposeAsync()
    {
        using IDisposable held = await graph.ControlLock.EnterAsync();
        await Backend.CloseAsync();
    }
}
