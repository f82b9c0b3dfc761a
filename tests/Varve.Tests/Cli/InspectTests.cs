using System.Text.Json.Nodes;
using Varve.Cli.Inspect;
using Varve.Cli.Output;
using Varve.Tests.Hostile;
using Varve.Tests.Support;

namespace Varve.Tests.Cli;

/// <summary><c>varve inspect</c>: what it prints and how it ends.</summary>
public sealed class InspectTests : IDisposable
{
    private readonly TempDirectory _folder = new();

    [Fact]
    public async Task An_ordinary_image_is_safe()
    {
        ToolRun run = await ToolRun.InspectAsync(Write(new HostileQcow2()));
        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        Assert.Equal($"""
            image: {_folder["image"]}
            format: qcow2
            verdict: safe
            virtual size: 1 MiB (1048576 bytes)
            file size: 24 KiB (24576 bytes)

            """, run.Output);
    }

    [Fact]
    public async Task An_image_with_a_backing_file_refers_to_it_and_the_status_says_so()
    {
        ToolRun run = await ToolRun.InspectAsync(Write(new HostileQcow2().Backing("base.raw")));
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("verdict: refers-to-files\n", run.Output);
        Assert.Contains("    backing: base.raw (path, format raw)\n", run.Output);
    }

    [Fact]
    public async Task Json_has_every_finding_for_programs()
    {
        HostileQcow2 image = new HostileQcow2().Incompatible(4).Extension(HostileQcow2.DataFile, "json:{}");
        ToolRun run = await ToolRun.InspectAsync("--output=json", Write(image));
        Assert.Equal(3, run.ExitCode);
        JsonNode json = JsonNode.Parse(run.Output)!;
        Assert.Equal("suspicious", (string?)json["verdict"]);
        Assert.Equal(["data-file-json", "data-file"], json["findings"]!.AsArray().Select(f => (string?)f!["code"]));
        Assert.Equal("json", (string?)json["references"]![0]!["kind"]);
        Assert.Equal("external data file", (string?)json["features"]![0]!["name"]);
        Assert.True((bool?)json["complete"]);
        Assert.InRange((long)json["bytes-read"]!, 1, ImageInspector.ReadLimit);
    }

    [Fact]
    public async Task Text_from_an_image_cannot_steer_the_terminal()
    {
        ToolRun run = await ToolRun.InspectAsync(Write(new HostileQcow2().Backing("a\u001b[2J\nverdict: safe")));
        Assert.DoesNotContain('\u001b', run.Output);
        Assert.Contains("a\\u{1b}[2J\\u{a}verdict: safe", run.Output);
        Assert.Equal(3, run.ExitCode);
    }

    [Fact]
    public async Task The_format_that_is_expected_is_compared_with_the_content()
    {
        string image = Write(new HostileQcow2());
        Assert.Equal(3, (await ToolRun.InspectAsync("-f", "raw", image)).ExitCode);
        Assert.Equal(0, (await ToolRun.InspectAsync("-f", "qcow2", image)).ExitCode);
    }

    [Fact]
    public async Task A_name_says_nothing_about_the_format()
    {
        File.WriteAllBytes(_folder["disk.qcow2"], new byte[1024]);
        ToolRun run = await ToolRun.InspectAsync(_folder["disk.qcow2"]);
        Assert.Contains("format: raw\nverdict: safe\n", run.Output);
    }

    [Fact]
    public async Task A_virtual_disk_beyond_the_size_allowed_is_suspicious()
    {
        string image = Write(new HostileQcow2());
        Assert.Equal(3, (await ToolRun.InspectAsync("--max-virtual-size=512k", image)).ExitCode);
        Assert.Equal(0, (await ToolRun.InspectAsync("--max-virtual-size=1M", image)).ExitCode);
    }

    [Fact]
    public async Task What_cannot_be_inspected_ends_with_status_1()
    {
        ToolRun missing = await ToolRun.InspectAsync(_folder["none"]);
        Assert.Equal((1, $"varve inspect: Could not open '{_folder["none"]}': No such file or directory\n"), (missing.ExitCode, missing.Error));
        Assert.Equal(1, (await ToolRun.InspectAsync()).ExitCode);
        Assert.Equal(1, (await ToolRun.InspectAsync("--wrong", "x")).ExitCode);
        Assert.Equal(1, (await ToolRun.InspectAsync("--output=xml", "x")).ExitCode);
        Assert.Equal(1, (await ToolRun.InspectAsync(_folder.Path)).ExitCode);
    }

    [Fact]
    public async Task Metadata_larger_than_the_bound_is_read_up_to_it()
    {
        // 2 MiB clusters and 64 L2 tables: 128 MiB of metadata, in holes.
        const int Big = 2 << 20;
        HostileQcow2 image = new HostileQcow2(64L << 39).U32(20, 21).U32(36, 64).U64(40, 2 * Big).U64(48, Big);
        string path = Write(image);
        using (FileStream file = File.OpenWrite(path))
        {
            file.SetLength(80L * Big);
            file.Position = HostileQcow2.RefcountTable;
            file.Write(new byte[5 * HostileQcow2.Cluster]);
            file.Position = 2 * Big;
            for (int i = 0; i < 64; i++) file.Write([0x80, 0, 0, 0, .. BitConverter.GetBytes(System.Buffers.Binary.BinaryPrimitives.ReverseEndianness((uint)((4 + i) * Big)))]);
        }

        ImageInspection inspection = await ImageInspector.InspectAsync(path, cancellationToken: TestContext.Current.CancellationToken);
        Assert.False(inspection.IsComplete);
        Assert.InRange(inspection.BytesRead, 8 << 20, ImageInspector.ReadLimit);
        Assert.Equal(InspectionVerdict.Safe, inspection.Verdict);
        Assert.Contains(inspection.Findings, f => f.Code == "not-everything-read");
    }

    private string Write(HostileQcow2 image)
    {
        File.WriteAllBytes(_folder["image"], image.Bytes);
        return _folder["image"];
    }

    public void Dispose() => _folder.Dispose();
}
