using System.Globalization;
using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;
using Varve.Tests.Support;

namespace Varve.Tests.Graph;

public sealed class ChainMapTests
{
    [Fact]
    public async Task The_map_of_a_chain_is_the_references()
    {
        await using var test = new TestGraph();
        MakeChain(test);
        BlockNode top = await test.OpenAsync("$/top.qcow2");
        BlockBackend backend = await test.UseAsync(top, BlockPermissions.ConsistentRead);
        Assert.Equal(Reference(test.Directory["top.qcow2"]), await MapAsync(backend, 0, long.MaxValue));
        Assert.Equal(
            Reference(test.Directory["top.qcow2"], "--start-offset=100000", "--max-length=300000"), await MapAsync(backend, 100_000, 300_000));
        await backend.CloseAsync();
    }

    [Fact]
    public async Task The_map_of_a_raw_file_shows_its_holes()
    {
        await using var test = new TestGraph();
        test.Directory.File("a.img", 1 << 20);
        using (FileStream file = File.OpenWrite(test.Directory["a.img"]))
        {
            file.Position = 64 << 10;
            file.Write(new byte[] { 1 });
        }

        BlockBackend backend = await test.UseAsync(await test.OpenAsync("$/a.img"), BlockPermissions.ConsistentRead);
        Assert.Equal(Reference("-f", "raw", test.Directory["a.img"]), await MapAsync(backend, 0, long.MaxValue));
        await backend.CloseAsync();
    }

    [Fact]
    public async Task What_is_told_about_an_image_is_what_the_reference_tells()
    {
        await using var test = new TestGraph();
        MakeChain(test);
        BlockNode top = await test.OpenAsync("$/top.qcow2", TestGraph.Everything with { NoBacking = true });
        JsonObject ours = await NodeInfo.OfNodeAsync(top, default);
        var theirs = (JsonObject)JsonNode.Parse(ReferenceTool.Run("qemu-img", "info", "--output=json", test.Directory["top.qcow2"]))!;
        foreach (string name in new[] { "children", "format-specific" })   // the first is newer, the second the format's own matter
        {
            theirs.Remove(name);
            ours.Remove(name);
        }

        Assert.Equal(Sorted(theirs), Sorted(ours));
    }

    [Fact]
    public async Task A_chain_is_told_from_the_top_down()
    {
        await using var test = new TestGraph();
        MakeChain(test);
        BlockNode top = await test.AddAsync("{'driver':'qcow2','node-name':'top','read-only':true,'file':{'driver':'file','filename':'$/top.qcow2'}}");
        JsonObject info = await NodeInfo.OfDeviceAsync(top, flat: false, default);
        Assert.Equal(2, (int)info["backing_file_depth"]!);
        Assert.Equal(test.Directory["mid.qcow2"], (string?)info["backing_file"]);
        JsonNode mid = info["image"]!["backing-image"]!;
        Assert.Equal("base.qcow2", (string?)mid["backing-filename"]);
        Assert.Equal(test.Directory["base.qcow2"], (string?)mid["full-backing-filename"]);
        Assert.Equal(test.Directory["base.qcow2"], (string?)mid["backing-image"]!["filename"]);
        Assert.Null(mid["backing-image"]!["backing-image"]);

        JsonObject flat = await NodeInfo.OfDeviceAsync(top, flat: true, default);
        Assert.Null(flat["image"]!["backing-image"]);
        Assert.Equal(0, (int)flat["backing_file_depth"]!);
    }

    [Fact]
    public async Task A_graph_is_told_with_the_files_below()
    {
        await using var test = new TestGraph();
        MakeChain(test);
        JsonObject info = await NodeInfo.OfGraphAsync(await test.OpenAsync("$/base.qcow2"), default);
        JsonNode file = Assert.Single(info["children"]!.AsArray())!;
        Assert.Equal("file", (string?)file["name"]);
        Assert.Equal("file", (string?)file["info"]!["format"]);
    }

    private static void MakeChain(TestGraph test)
    {
        string[] names = ["base.qcow2", "mid.qcow2", "top.qcow2"];
        for (int i = 0; i < names.Length; i++)
        {
            string size = i == 2 ? "3M" : "1M";
            if (i == 0) ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", test.Directory[names[i]], size);
            else ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", "-b", names[i - 1], "-F", "qcow2", test.Directory[names[i]], size);
        }

        ReferenceTool.Run("qemu-io", "-c", "write 0 64k", "-c", "write -z 128k 64k", "-c", "write 900k 64k", test.Directory["base.qcow2"]);
        ReferenceTool.Run("qemu-io", "-c", "write 64k 64k", "-c", "write -z 0 1k", "-c", "write -c 512k 64k", test.Directory["mid.qcow2"]);
        ReferenceTool.Run("qemu-io", "-c", "write 256k 128k", "-c", "write -z 2M 64k", test.Directory["top.qcow2"]);
    }

    private static string Reference(params string[] arguments)
        => ReferenceTool.Run("qemu-img", ["map", "--output=json", .. arguments]).Trim();

    /// <summary>As <c>img map --output=json</c> prints it, without the member that came after the reference installed here.</summary>
    private static async Task<string> MapAsync(BlockBackend backend, long start, long length)
    {
        var lines = new List<string>();
        await foreach (MapExtent e in ChainMap.ExtentsAsync(backend, start, length))
        {
            string offset = e.Offset is { } o ? string.Create(CultureInfo.InvariantCulture, $", \"offset\": {o}") : "";
            lines.Add(
                $"{{ \"start\": {e.Start}, \"length\": {e.Length}, \"depth\": {e.Depth}, \"present\": {Word(e.IsPresent)}, "
                + $"\"zero\": {Word(e.IsZero)}, \"data\": {Word(e.IsData)}{offset}}}");
        }

        return "[" + string.Join(",\n", lines) + "]";

        static string Word(bool value) => value ? "true" : "false";
    }

    private static string Sorted(JsonNode? node) => node is JsonObject members
        ? "{" + string.Join(",", members.OrderBy(m => m.Key, StringComparer.Ordinal).Select(m => $"\"{m.Key}\":{Sorted(m.Value)}")) + "}"
        : JsonText.Write(node);
}
