using System.Text.Json.Nodes;
using Varve.Creation;
using Varve.Graph;
using Varve.Tests.Cli;
using Varve.Tests.Support;

namespace Varve.Tests.Creation;

public sealed class MeasureTests : IDisposable
{
    private readonly TempDirectory _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string, string, string> New()
    {
        var data = new TheoryData<string, string, string>();
        foreach (string size in new[] { "0", "512", "1048576", "1073741824", "107374182400", "2199023255552" })
        {
            foreach (string options in new[]
            {
                "", "cluster_size=512", "cluster_size=2M", "refcount_bits=1", "refcount_bits=64", "extended_l2=on", "preallocation=metadata", "preallocation=falloc",
                "preallocation=full", "data_file=x", "compat=0.10", "backing_file=x,backing_fmt=raw",
            })
            {
                data.Add("qcow2", options, size);
            }
        }

        data.Add("qcow2", "", $"{2L << 50}");      // more than can be created, with everything allocated
        data.Add("raw", "", "1000");
        data.Add("raw", "", "1073741824");
        return data;
    }

    [Theory]
    [MemberData(nameof(New))]
    public async Task A_new_image_is_as_large_as_the_reference_says(string format, string options, string size)
        => await SameAsReferenceAsync(format, options, size, source: null, sourceFormat: "");

    [Theory]
    [InlineData("raw", "")]
    [InlineData("qcow2", "")]
    [InlineData("qcow2", "cluster_size=4096")]
    [InlineData("qcow2", "cluster_size=2M")]
    [InlineData("qcow2", "preallocation=full")]
    [InlineData("qcow2", "backing_file=x,backing_fmt=raw")]
    public async Task A_copy_is_as_large_as_the_reference_says(string format, string options)
    {
        string bottom = _folder["bottom"], top = _folder["top"];
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", bottom, "10M");
        ReferenceTool.Run(
            "qemu-io", "-f", "qcow2", "-c", "write 0 128k", "-c", "write 1M 64k", "-c", "write -z 2M 1M", "-c", "write -c 4M 64k", "-c", "write 5M 64k", "-c", "discard 5M 64k", bottom);
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", "-b", bottom, "-F", "qcow2", top, "20M");
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write 12M 128k", "-c", "write -z 0 64k", top);
        await SameAsReferenceAsync(format, options, size: null, top, "qcow2");
    }

    [Fact]
    public async Task A_file_with_holes_is_measured_by_its_data()
    {
        string raw = _folder["a.raw"];
        using (FileStream file = File.Create(raw))
        {
            file.SetLength(10 << 20);
            file.Position = 3_000_000;
            file.Write(new byte[] { 1 });
        }

        await SameAsReferenceAsync("qcow2", "", size: null, raw, "raw");
    }

    private static async Task SameAsReferenceAsync(string format, string options, string? size, string? source, string sourceFormat)
    {
        ToolRun reference = await ToolRun.ReferenceAsync("qemu-img", [
            "measure", "--output=json", "-O", format, .. options.Length > 0 ? new[] { "-o", options } : [], .. size is not null ? new[] { "--size", size } : ["-f", sourceFormat, source!]]);
        await using var graph = new BlockGraph();
        (CreationFormat creation, IReadOnlyList<CreationOption> known) = ImageCreator.FindFormat(graph, format, filename: null);
        var values = new CreationOptionValues(known);
        if (options.Length > 0) values.SetAll(options);
        if (size is not null) values.Set("size", size);
        BlockBackend? backend = source is null ? null : await OpenAsync(graph, source, sourceFormat);
        try
        {
            ImageMeasurement measurement = await creation.MeasureAsync(graph, values, backend, default);
            Assert.True(reference.ExitCode == 0, reference.Error);
            JsonObject expected = JsonNode.Parse(reference.Output)!.AsObject();
            Assert.Equal(((long)expected["required"]!, (long)expected["fully-allocated"]!), (measurement.Required, measurement.FullyAllocated));
        }
        catch (BlockException e)
        {
            Assert.Equal(reference.Error, $"qemu-img: {e.Message}\n");
        }
        finally
        {
            if (backend is not null) await backend.CloseAsync();
        }
    }

    private static async Task<BlockBackend> OpenAsync(BlockGraph graph, string path, string format)
    {
        BlockNode node = await graph.OpenImageAsync(
            path, new() { ["driver"] = format }, new OpenContext { References = ReferencePolicy.Everything }, new NodeSettings { ReadOnly = true }, default);
        BlockBackend backend = await graph.OpenBackendAsync(node, BlockPermissions.ConsistentRead, BlockPermissions.All);
        await graph.ReleaseAsync(node);
        return backend;
    }
}
