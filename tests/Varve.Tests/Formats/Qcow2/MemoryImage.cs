using System.Text.Json.Nodes;
using Varve.Filters.CopyOnRead;
using Varve.Formats.Qcow2;
using Varve.Formats.Raw;
using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>A qcow2 image in memory, opened and closed as often as a test likes.</summary>
internal sealed class MemoryImage : IAsyncDisposable
{
    private readonly Qcow2Driver _driver = new();

    private MemoryImage()
    {
        Memory = new MemoryDriver();
        Graph = new BlockGraph(new BlockDrivers([Memory, _driver, new RawDriver(), new CopyOnReadDriver()]));
    }

    public MemoryDriver Memory { get; }

    public BlockGraph Graph { get; }

    /// <summary>Whether opening takes the secret <c>s</c>, which is <see cref="Password"/>.</summary>
    public bool IsEncrypted { get; private set; }

    public const string Password = "123456";

    public MemoryBytes File => Memory.Files["image"];

    /// <summary>A new image; <paramref name="options"/> as in <c>blockdev-create</c>.</summary>
    public static async Task<MemoryImage> CreateAsync(long size, string options = "{}")
    {
        var image = new MemoryImage();
        await image.CreateAsync("image", size, options);
        return image;
    }

    public async Task CreateAsync(string name, long size, string options = "{}")
    {
        Memory.Files[name] = new MemoryBytes([]);
        JsonObject create = JsonNode.Parse(options)!.AsObject();
        create["file"] = new JsonObject { ["driver"] = "memory", ["filename"] = name };
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
        options["file"] = new JsonObject { ["driver"] = "memory", ["filename"] = name };
        if (IsEncrypted) options["encrypt"] = new JsonObject { ["key-secret"] = "s" };
        if (backing is not null) options["backing"] = backing;
        using IDisposable held = await Graph.ControlLock.EnterAsync();
        BlockNode node = await Graph.OpenNodeAsync(options, new OpenContext { ForCheck = forCheck, NoBacking = forCheck });
        BlockPermissions needed = readOnly ? BlockPermissions.ConsistentRead : BlockPermissions.ConsistentRead | BlockPermissions.Write;
        if (mayResize && !readOnly) needed |= BlockPermissions.Resize;
        BlockBackend backend = await Graph.OpenBackendAsync(node, needed, BlockPermissions.All);
        await Graph.ReleaseAsync(node);
        return new OpenedImage(this, (Qcow2Image)node, backend);
    }

    /// <summary>Checks what the file holds now; returns the driver's lines.</summary>
    public async Task<(CheckResult Result, List<string> Lines)> CheckAsync(CheckRepair repair = CheckRepair.None, JsonObject? options = null)
    {
        await using OpenedImage opened = await OpenAsync(readOnly: repair == CheckRepair.None, forCheck: true, options: options);
        var lines = new LineList();
        return (await opened.Node.CheckAsync(repair, lines, default), lines.Lines);
    }

    public ValueTask DisposeAsync() => Graph.DisposeAsync();

    private sealed class LineList : IProgress<string>
    {
        public List<string> Lines { get; } = [];

        public void Report(string value) => Lines.Add(value);
    }
}

/// <summary>An open image of a <see cref="MemoryImage"/>.</summary>
internal sealed class OpenedImage(MemoryImage image, Qcow2Image node, BlockBackend backend) : IAsyncDisposable
{
    public Qcow2Image Node { get; } = node;

    public BlockBackend Backend { get; } = backend;

    public async ValueTask DisposeAsync()
    {
        using IDisposable held = await image.Graph.ControlLock.EnterAsync();
        await Backend.CloseAsync();
    }
}
