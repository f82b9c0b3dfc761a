using System.Text.Json.Nodes;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

public sealed class Qcow2ResizeTests
{
    [Theory]
    [InlineData(512, "1.1")]
    [InlineData(65536, "1.1")]
    [InlineData(4096, "0.10")]
    public async Task A_grown_disk_keeps_its_content_and_reads_zeros_behind_it(int clusterSize, string compat)
    {
        await using var fixture = new Qcow2Fixture();
        string path = fixture.CreateByReference("a.qcow2", "1049088", $"cluster_size={clusterSize},compat={compat}");
        BlockBackend disk = await fixture.OpenAsync(path);
        byte[] model = new byte[64 << 20];
        model.AsSpan(0, 1049088).Fill(5);
        await disk.WriteAsync(0, model.AsMemory(0, 1049088));
        await ResizeAsync(disk, model.Length);
        model.AsSpan(63 << 20, 4096).Fill(6);
        await disk.WriteAsync(63 << 20, model.AsMemory(63 << 20, 4096));
        byte[] actual = new byte[model.Length];
        await disk.ReadAsync(0, actual);
        Assert.Equal(model.Length, model.AsSpan().CommonPrefixLength(actual));
        await fixture.CloseAsync(disk);
        Qcow2Fixture.AssertClean(path);
    }

    [Fact]
    public async Task What_a_shrunk_disk_lost_does_not_come_back_when_it_grows_again()
    {
        await using var fixture = new Qcow2Fixture();
        string path = fixture.CreateByReference("a.qcow2", "8M", "cluster_size=4096");
        BlockBackend disk = await fixture.OpenAsync(path);
        byte[] data = new byte[8 << 20];
        data.AsSpan().Fill(9);
        await disk.WriteAsync(0, data);
        await ResizeAsync(disk, (1 << 20) + 512);
        Assert.Equal((1 << 20) + 512, disk.Length);
        await ResizeAsync(disk, 8 << 20);
        data.AsSpan((1 << 20) + 512).Clear();
        byte[] actual = new byte[8 << 20];
        await disk.ReadAsync(0, actual);
        Assert.Equal(actual.Length, data.AsSpan().CommonPrefixLength(actual));
        await fixture.CloseAsync(disk);
        Qcow2Fixture.AssertClean(path);
    }

    [Fact]
    public async Task What_a_shrinking_that_was_cut_short_left_behind_does_not_come_back_when_the_disk_grows()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(8 << 20, """{"cluster-size": 4096}""");
        byte[] data = new byte[8 << 20];
        data.AsSpan().Fill(9);
        await using (OpenedImage opened = await image.OpenAsync()) await opened.Backend.WriteAsync(0, data);

        // The header tells the new size first; the power went before anything was given up.
        byte[] size = new byte[8];
        System.Buffers.Binary.BinaryPrimitives.WriteInt64BigEndian(size, 1 << 20);
        image.File.Write(24, size);
        await using (OpenedImage opened = await image.OpenAsync())
        {
            await ResizeAsync(opened.Backend, 8 << 20);
            byte[] actual = new byte[8 << 20];
            await opened.Backend.ReadAsync(0, actual);
            data.AsSpan(1 << 20).Clear();
            Assert.Equal(actual.Length, data.AsSpan().CommonPrefixLength(actual));
        }

        (CheckResult result, _) = await image.CheckAsync();
        Assert.True(result is { Corruptions: 0, Leaks: 0, CheckErrors: 0 });
    }

    [Theory]
    [InlineData("1.1")]
    [InlineData("0.10")]
    public async Task A_longer_backing_image_does_not_show_behind_the_old_end(string compat)
    {
        await using var fixture = new Qcow2Fixture();
        string bottom = fixture.CreateByReference("base.qcow2", "3M");
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 3M", bottom);
        string path = fixture.CreateByReference("top.qcow2", "1049088", $"compat={compat}", backing: bottom);
        BlockBackend disk = await fixture.OpenAsync(path);
        await ResizeAsync(disk, 4 << 20);
        byte[] expected = new byte[4 << 20], actual = new byte[4 << 20];
        expected.AsSpan(0, 1049088).Fill(7);
        await disk.ReadAsync(0, actual);
        Assert.Equal(actual.Length, expected.AsSpan().CommonPrefixLength(actual));
        await fixture.CloseAsync(disk);
        Qcow2Fixture.AssertClean(path);
    }

    [Theory]
    [InlineData("Metadata")]
    [InlineData("Falloc")]
    [InlineData("Full")]
    public async Task Preallocated_growth_is_allocated_and_zero(string mode)
    {
        await using var fixture = new Qcow2Fixture();
        string path = fixture.CreateByReference("a.qcow2", "1M");
        BlockBackend disk = await fixture.OpenAsync(path);
        await ResizeAsync(disk, 5 << 20, Enum.Parse<PreallocationMode>(mode));
        byte[] actual = new byte[5 << 20];
        await disk.ReadAsync(0, actual);
        Assert.True(actual.AsSpan().IndexOfAnyExcept((byte)0) < 0);
        BlockStatus status = await disk.RunAsync((node, _, token) => node.GetStatusAsync(1 << 20, 4 << 20, precise: false, token), 0);
        Assert.Equal((true, 4L << 20), (status.IsData, status.Length));
        await fixture.CloseAsync(disk);
        Qcow2Fixture.AssertClean(path);
    }

    [Fact]
    public async Task Lazy_refcounts_mark_the_image_dirty_while_it_is_open_and_clean_when_closed()
    {
        await using var fixture = new Qcow2Fixture();
        string path = fixture.CreateByReference("a.qcow2", "8M", "lazy_refcounts=on");
        BlockBackend disk = await fixture.OpenAsync(path);
        Assert.Equal(Qcow2Incompatible.None, HeaderOf(path).Incompatible);
        await disk.WriteAsync(0, new byte[65536]);
        await disk.FlushAsync();
        Assert.Equal(Qcow2Incompatible.Dirty, HeaderOf(path).Incompatible);
        await fixture.CloseAsync(disk);
        Assert.Equal(Qcow2Incompatible.None, HeaderOf(path).Incompatible);
        Qcow2Fixture.AssertClean(path);
    }

    [Fact]
    public async Task Autoclear_bits_are_cleared_before_the_first_write_and_kept_by_readers()
    {
        await using var fixture = new Qcow2Fixture();
        string path = fixture.CreateByReference("a.qcow2", "8M");
        byte[] bytes = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);
        bytes[88] = 0x80;
        await File.WriteAllBytesAsync(path, bytes, TestContext.Current.CancellationToken);
        await fixture.CloseAsync(await fixture.OpenAsync(path, readOnly: true));
        Assert.Equal(bytes, await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken));
        await fixture.OpenAsync(path);
        Assert.Equal(Qcow2Autoclear.None, HeaderOf(path).Autoclear);
    }

    [Theory]
    [InlineData(72, 0x8000_0000_0000_0000UL, "Unsupported qcow2 feature(s): Unknown incompatible feature: 8000000000000000")]
    [InlineData(72, 0x4UL, "'data-file' is required for this image")]
    [InlineData(72, 0x2UL, "qcow2: Image is corrupt; cannot be opened read/write")]
    [InlineData(40, 0x30200UL, "Active L1 table offset invalid")]
    [InlineData(48, 0x7FFF_FFFF_FFFF_0000UL, "Reference count table offset invalid")]
    [InlineData(24, 0x1000_0000_0000UL, "L1 table is too small")]
    [InlineData(32, 0x0000_0000_7FFF_FFFFUL, "Active L1 table too large")]
    [InlineData(56, 0x7FFF_FFFF_0000_0000UL, "Reference count table too large")]
    [InlineData(56, 0x0000_0001_7FFF_FFFFUL, "Snapshot table too large")]
    public async Task A_header_that_asks_too_much_is_refused_by_name(int offset, ulong value, string message)
    {
        await using var fixture = new Qcow2Fixture();
        string path = fixture.CreateByReference("a.qcow2", "8M");
        byte[] bytes = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(offset), value);
        await File.WriteAllBytesAsync(path, bytes, TestContext.Current.CancellationToken);
        BlockException e = await Assert.ThrowsAsync<BlockException>(() => fixture.OpenAsync(path));
        Assert.Equal(message, e.Message);
        Assert.Empty(fixture.Graph.Nodes);
    }

    [Fact]
    public async Task A_write_over_metadata_is_prevented_and_marks_the_image_corrupt()
    {
        await using var fixture = new Qcow2Fixture();
        string path = fixture.CreateByReference("a.qcow2", "8M");
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write 0 64k", path);
        byte[] bytes = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);
        Qcow2Header.TryRead(bytes, out Qcow2Header header);
        long l2 = (long)(System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan((int)header.L1Table.Value)) & 0xFFFF_FFFF_FFFF);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan((int)l2), 0x8000_0000_0002_0000);   // the refcount block
        await File.WriteAllBytesAsync(path, bytes, TestContext.Current.CancellationToken);

        BlockBackend disk = await fixture.OpenAsync(path);
        var reports = new List<ImageCorruption>();
        fixture.Graph.ImageCorrupted += reports.Add;
        await Assert.ThrowsAsync<BlockException>(() => disk.WriteAsync(0, new byte[512]).AsTask());
        ImageCorruption report = Assert.Single(reports);
        Assert.True(report.IsFatal);
        Assert.Equal(
            "qcow2: Marking image as corrupt: Preventing invalid write on metadata (overlaps with refcount block); further corruption events will be suppressed",
            report.Text);
        Assert.Equal(Qcow2Incompatible.Corrupt, HeaderOf(path).Incompatible);
        await Assert.ThrowsAsync<BlockException>(() => disk.ReadAsync(0, new byte[512]).AsTask());
    }

    private static Qcow2Header HeaderOf(string path)
    {
        using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        byte[] bytes = new byte[512];
        file.ReadExactly(bytes);
        Assert.Null(Qcow2Header.TryRead(bytes, out Qcow2Header header));
        return header;
    }

    private static async Task ResizeAsync(BlockBackend disk, long length, PreallocationMode mode = PreallocationMode.Off)
        => await disk.RunAsync(
            static async (node, change, token) =>
            {
                await node.ResizeAsync(change.length, change.mode, token);
                return true;
            },
            (length, mode));
}
