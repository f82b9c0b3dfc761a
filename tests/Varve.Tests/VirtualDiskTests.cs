using System.Security.Cryptography;
using Varve.Nbd;

namespace Varve.Tests;

/// <summary>The public library, as a program that references the package sees it.</summary>
public sealed class VirtualDiskTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("varve-library-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task What_is_written_is_read_back_after_closing_and_opening()
    {
        await using var layer = new BlockLayer();
        await layer.CreateAsync(PathOf("a.qcow2"), new NewImage { Size = 8.MiB });
        byte[] data = RandomNumberGenerator.GetBytes(100_001);
        await using (VirtualDisk disk = await layer.OpenAsync(PathOf("a.qcow2"), new DiskOpening { Writable = true }))
        {
            await disk.WriteAsync(12_345, data);
            await disk.FlushAsync();
        }

        await using VirtualDisk again = await layer.OpenAsync(PathOf("a.qcow2"));
        byte[] read = new byte[data.Length];
        await again.ReadAsync(12_345, read);
        Assert.Equal(data, read);
        Assert.True(again.IsReadOnly);
        Assert.Equal(8.MiB, again.Length);
    }

    [Fact]
    public async Task A_raw_image_is_created_as_long_as_asked_and_reads_as_zeros()
    {
        await using var layer = new BlockLayer();
        await File.WriteAllTextAsync(PathOf("r.raw"), "what was there before");
        await layer.CreateAsync(PathOf("r.raw"), new NewImage { Format = "raw", Size = 1.MiB });
        await using VirtualDisk disk = await layer.OpenAsync(PathOf("r.raw"), new DiskOpening { Format = "raw" });
        byte[] content = new byte[disk.Length];
        await disk.ReadAsync(0, content);
        Assert.Equal(1.MiB, disk.Length);
        Assert.DoesNotContain(content, b => b != 0);
    }

    [Fact]
    public async Task Without_a_policy_the_name_inside_an_image_is_not_followed()
    {
        await using BlockLayer layer = await MakeChainAsync();
        BlockException refused = await Assert.ThrowsAsync<BlockException>(async () => await layer.OpenAsync(PathOf("top.qcow2")));
        Assert.Equal(BlockErrorKind.Denied, refused.Kind);
        Assert.Contains("mid.qcow2", refused.Message, StringComparison.Ordinal);
        await using VirtualDisk opened = await layer.OpenAsync(PathOf("top.qcow2"), new DiskOpening { References = ReferencePolicy.SameDirectory });
        Assert.Equal(3, opened.Chain.Count);
    }

    [Fact]
    public async Task The_map_has_no_gaps_and_says_which_image_decides()
    {
        await using BlockLayer layer = await MakeChainAsync();
        await using VirtualDisk disk = await layer.OpenAsync(PathOf("top.qcow2"), new DiskOpening { References = ReferencePolicy.SameDirectory });
        var extents = new List<DiskExtent>();
        await foreach (DiskExtent extent in disk.MapAsync()) extents.Add(extent);
        long at = 0;
        foreach (DiskExtent extent in extents)
        {
            Assert.Equal(at, extent.Offset);
            at += extent.Length;
        }

        Assert.Equal(disk.Length, at);
        Assert.Contains(extents, e => e is { Offset: 0, IsData: true, Depth: 2 });
        Assert.Contains(extents, e => e.Offset == 1.MiB && e is { IsData: true, Depth: 1 });
        Assert.False(extents[^1].IsPresent);
    }

    [Fact]
    public async Task Streaming_shortens_the_chain_records_the_callers_name_and_changes_no_byte()
    {
        await using BlockLayer layer = await MakeChainAsync();
        await using VirtualDisk disk = await OpenTopAsync(layer);
        string before = await ChecksumAsync(disk);
        var seen = new List<JobProgress>();
        await disk.StreamAsync(
            new StreamRequest { Base = "base.qcow2", BackingFile = "./base.qcow2" }, new SynchronousProgress(seen.Add), TestContext.Current.CancellationToken);
        Assert.Equal(2, disk.Chain.Count);
        Assert.Equal("./base.qcow2", disk.Chain[0].RecordedBackingFile);
        Assert.Equal("qcow2", disk.Chain[0].RecordedBackingFormat);
        Assert.Equal(before, await ChecksumAsync(disk));
        Assert.Equal(seen[^1].Length, seen[^1].Offset);
    }

    [Fact]
    public async Task A_cancelled_stream_leaves_header_and_chain_as_they_were()
    {
        await using BlockLayer layer = await MakeChainAsync();
        await using VirtualDisk disk = await OpenTopAsync(layer);
        string before = await ChecksumAsync(disk);
        using var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(200));
        await Assert.ThrowsAsync<OperationCanceledException>(() => disk.StreamAsync(new StreamRequest { BytesPerSecond = 1 }, cancellationToken: cancel.Token));
        Assert.Equal(3, disk.Chain.Count);
        Assert.Equal("mid.qcow2", disk.Chain[0].RecordedBackingFile);
        Assert.Equal(before, await ChecksumAsync(disk));
    }

    [Fact]
    public async Task A_name_too_long_for_the_header_fails_the_stream_and_nothing_else()
    {
        await using BlockLayer layer = await MakeChainAsync();
        await using VirtualDisk disk = await OpenTopAsync(layer);
        string before = await ChecksumAsync(disk);
        BlockException failure = await Assert.ThrowsAsync<BlockException>(
            () => disk.StreamAsync(new StreamRequest { Base = "base.qcow2", BackingFile = new string('x', 1024) }));
        Assert.Equal(BlockErrorKind.Invalid, failure.Kind);
        Assert.Equal(3, disk.Chain.Count);
        Assert.Equal("mid.qcow2", disk.Chain[0].RecordedBackingFile);
        Assert.Equal(before, await ChecksumAsync(disk));
    }

    [Fact]
    public async Task A_disk_that_was_disposed_says_so()
    {
        await using var layer = new BlockLayer();
        await layer.CreateAsync(PathOf("d.qcow2"), new NewImage { Size = 1.MiB });
        VirtualDisk disk = await layer.OpenAsync(PathOf("d.qcow2"));
        await disk.DisposeAsync();
        await disk.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await disk.ReadAsync(0, new byte[1]));
        Assert.Throws<ObjectDisposedException>(() => disk.Length);
    }

    [Fact]
    public async Task A_stream_view_reads_writes_and_seeks()
    {
        await using var layer = new BlockLayer();
        await layer.CreateAsync(PathOf("s.qcow2"), new NewImage { Size = 1.MiB });
        await using VirtualDisk disk = await layer.OpenAsync(PathOf("s.qcow2"), new DiskOpening { Writable = true });
        await using Stream stream = disk.AsStream();
        stream.Seek(-5, SeekOrigin.End);
        await stream.WriteAsync("hello"u8.ToArray());
        await Assert.ThrowsAsync<BlockException>(async () => await stream.WriteAsync("!"u8.ToArray()));
        stream.Position = 1.MiB - 4;
        byte[] buffer = new byte[16];
        Assert.Equal(4, await stream.ReadAsync(buffer));
        Assert.Equal("ello"u8.ToArray(), buffer[..4]);
        Assert.Equal(0, await stream.ReadAsync(buffer));
    }

    [Fact]
    public async Task An_opened_disk_is_served_to_NBD_clients()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/nbdcopy"), "not installed: nbdcopy");
        await using BlockLayer layer = await MakeChainAsync();
        await using VirtualDisk disk = await OpenTopAsync(layer);
        await using NbdDiskServer server = NbdDiskServer.ListenUnix(layer, PathOf("nbd.sock"));
        await server.AddAsync(disk, "disk", writable: true, TestContext.Current.CancellationToken);
        using var copy = System.Diagnostics.Process.Start("/usr/bin/nbdcopy", [$"nbd+unix:///disk?socket={PathOf("nbd.sock")}", PathOf("copy.raw")]);
        await copy.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, copy.ExitCode);
        Assert.Equal(await ChecksumAsync(disk), Convert.ToHexStringLower(SHA256.HashData(await File.ReadAllBytesAsync(PathOf("copy.raw")))));
    }

    private async Task<BlockLayer> MakeChainAsync()
    {
        var layer = new BlockLayer();
        await layer.CreateAsync(PathOf("base.qcow2"), new NewImage { Size = 16.MiB });
        await WriteAsync("base.qcow2", 0, 2.MiB);
        await layer.CreateAsync(PathOf("mid.qcow2"), new NewImage { BackingFile = "base.qcow2", BackingFormat = "qcow2" });
        await WriteAsync("mid.qcow2", 1.MiB, 2.MiB);
        await layer.CreateAsync(PathOf("top.qcow2"), new NewImage { BackingFile = "mid.qcow2", BackingFormat = "qcow2" });
        return layer;

        async Task WriteAsync(string name, long offset, long length)
        {
            await using VirtualDisk disk = await layer.OpenAsync(
                PathOf(name), new DiskOpening { Writable = true, References = ReferencePolicy.SameDirectory });
            await disk.WriteAsync(offset, RandomNumberGenerator.GetBytes((int)length));
        }
    }

    private async Task<VirtualDisk> OpenTopAsync(BlockLayer layer)
        => await layer.OpenAsync(PathOf("top.qcow2"), new DiskOpening { Writable = true, References = ReferencePolicy.Roots(_directory) });

    private static async Task<string> ChecksumAsync(VirtualDisk disk)
        => Convert.ToHexStringLower(await SHA256.HashDataAsync(disk.AsStream()));

    private string PathOf(string name) => Path.Combine(_directory, name);

    private sealed class SynchronousProgress(Action<JobProgress> report) : IProgress<JobProgress>
    {
        public void Report(JobProgress value) => report(value);
    }
}
