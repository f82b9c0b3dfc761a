using System.Buffers.Binary;
using System.Text.RegularExpressions;
using Varve.Tests.Cli;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>A write that an L2 entry leads to metadata: refused if that class is guarded, as by the reference.</summary>
public sealed partial class Qcow2OverlapTests : IDisposable
{
    private readonly TempDirectory _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("active-l1")]
    [InlineData("active-l2")]
    [InlineData("refcount-table")]
    [InlineData("refcount-block")]
    [InlineData("snapshot-table")]
    [InlineData("inactive-l1")]
    [InlineData("inactive-l2")]
    [InlineData("bitmap-directory")]
    public async Task A_class_of_metadata_is_guarded_when_the_reference_guards_it(string kind)
    {
        string image = _folder["image"];
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", image, "1M");
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -q 0 64k", image);
        ReferenceTool.Run("qemu-img", "snapshot", "-c", "s", image);
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -q 0 64k", image);
        ReferenceTool.Run("qemu-img", "bitmap", "--add", image, "b");
        byte[] bytes = File.ReadAllBytes(image);
        long host = Find(bytes, kind);
        Assert.InRange(host, 65536, bytes.Length - 1);
        BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan((int)Find(bytes, "active-l2") + 8), 1UL << 63 | (ulong)host);

        foreach (string checks in new[]
        {
            "overlap-check=none", "overlap-check=constant", "overlap-check=cached", "overlap-check=all", $"overlap-check.template=all,overlap-check.{kind}=off",
            $"overlap-check.template=none,overlap-check.{kind}=on",
        })
        {
            string[] arguments = ["-c", $"open -o {checks} {image}", "-c", "write 64k 64k"];
            File.WriteAllBytes(image, bytes);
            ToolRun expected = await ToolRun.ReferenceAsync("qemu-io", arguments);
            File.WriteAllBytes(image, bytes);
            ToolRun actual = await ToolRun.IoAsync(arguments);
            Assert.Equal((checks, Refusal().Match(expected.Error).Value), (checks, Refusal().Match(actual.Error).Value));
        }
    }

    /// <summary>A table that a snapshot is left alone with, while the image is open, is guarded from then on.</summary>
    [Theory]
    [InlineData("all", true)]
    [InlineData("cached", false)]
    public async Task A_table_that_only_a_snapshot_has_left_is_guarded(string template, bool isGuarded)
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1 << 20);
        await using OpenedImage opened = await image.OpenAsync(options: new() { ["overlap-check"] = template });
        await opened.Backend.WriteAsync(0, new byte[65536]);
        await opened.Backend.FlushAsync();
        long table = Find(image.File.ToArray(), "active-l2");
        await opened.Node.CreateSnapshotAsync(new() { Name = "s" }, default);
        await opened.Backend.WriteAsync(0, new byte[65536]);
        Assert.Equal(isGuarded, opened.Node.MetadataMap.FindOverlap(table, 512) is not null);
        await opened.Node.DeleteSnapshotAsync(null, "s", default);
        Assert.Null(opened.Node.MetadataMap.FindOverlap(table, 512));
    }

    private static long Field(byte[] bytes, long at) => BinaryPrimitives.ReadInt64BigEndian(bytes.AsSpan((int)at)) & 0x00ff_ffff_ffff_fe00;

    private static long Find(byte[] bytes, string kind)
    {
        long snapshots = Field(bytes, 64);
        return kind switch
        {
            "active-l1" => Field(bytes, 40),
            "active-l2" => Field(bytes, Field(bytes, 40)),
            "refcount-table" => Field(bytes, 48),
            "refcount-block" => Field(bytes, Field(bytes, 48)),
            "snapshot-table" => snapshots,
            "inactive-l1" => Field(bytes, snapshots),
            "inactive-l2" => Field(bytes, Field(bytes, snapshots)),
            _ => Field(bytes, bytes.AsSpan().IndexOf((byte[])[0x23, 0x85, 0x28, 0x75]) + 24),
        };
    }

    [GeneratedRegex("Preventing invalid write[^;]*")]
    private static partial Regex Refusal();
}
