using System.Text.Json.Nodes;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>A qcow2 image in memory, opened and closed as often as a test likes.</summary>
internal sealed class MemoryImage(TimeProvider? time = null) : ReopenedImage(new MemoryDriver(), time)
{
    public MemoryDriver Memory => (MemoryDriver)Protocol;

    public MemoryBytes File => Memory.Files["image"];

    /// <summary>A new image; <paramref name="options"/> as in <c>blockdev-create</c>.</summary>
    public static async Task<MemoryImage> CreateAsync(long size, string options = "{}")
    {
        var image = new MemoryImage();
        await image.CreateAsync("image", size, options);
        return image;
    }

    public override JsonObject NodeOf(string name) => new() { ["driver"] = "memory", ["filename"] = name };

    public override void Put(string name, byte[] bytes) => Memory.Files[name] = new MemoryBytes(bytes);

    public override byte[] Get(string name) => Memory.Files[name].ToArray();
}
