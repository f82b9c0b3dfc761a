using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.IO;
using Varve.Protocols.File;
using Varve.Tests.Support;

namespace Varve.Tests.Protocols.File;

public class FileNodeTests
{
    private const int Size = 1 << 20;

    [Theory]
    [InlineData(false, "threads", false)]
    [InlineData(true, "threads", false)]
    [InlineData(false, "threads", true)]
    [InlineData(false, "io_uring", false)]
    [InlineData(true, "io_uring", false)]
    [InlineData(true, "native", false)]
    public async Task Concurrent_requests_leave_what_a_byte_array_would_hold(bool direct, string aio, bool portable)
    {
        await using var fixture = new FileFixture(portable ? new FileDriver((name, access, _) => PortableFile.OpenExisting(name, access)) : null);
        string path = fixture.Directory.File("disk", Size);
        BlockBackend disk = direct
            ? await OpenDirectAsync(fixture, path, aio)
            : await fixture.OpenAsync(path, new NodeSettings { Discard = true }, new JsonObject { ["aio"] = aio });
        byte[] model = new byte[Size];

        // Each worker owns a stripe, whose borders fit no alignment, so requests run beside each other with a known outcome.
        const int Workers = 8, Stripe = 100_003;
        await Task.WhenAll(Enumerable.Range(0, Workers).Select(worker => Task.Run(async () =>
        {
            var random = new Random(worker);
            for (int step = 0; step < 60; step++)
            {
                int length = 1 + random.Next(random.Next(2) == 0 ? 600 : 40_000), start = (worker * Stripe) + random.Next(Stripe - length);
                Memory<byte> expected = model.AsMemory(start, length);
                switch (random.Next(4))
                {
                    case 0:
                        random.NextBytes(expected.Span);
                        await disk.WriteAsync(start, expected, random.Next(2) == 0 ? WriteFlags.Fua : WriteFlags.None);
                        break;
                    case 1:
                        expected.Span.Clear();
                        await disk.WriteZeroesAsync(start, length, random.Next(2) == 0 ? ZeroFlags.MayUnmap : ZeroFlags.None);
                        break;
                    case 2:
                        await disk.FlushAsync();
                        break;
                    default:
                        byte[] actual = new byte[length];
                        await disk.ReadAsync(start, actual);
                        Assert.True(expected.Span.SequenceEqual(actual), $"worker {worker}, step {step}");
                        break;
                }
            }
        })));

        byte[] all = new byte[Size];
        await disk.ReadAsync(0, all);
        Assert.Equal(model, all);
        await disk.FlushAsync();
        Assert.Equal(model, await System.IO.File.ReadAllBytesAsync(path));
    }

    [Fact]
    public async Task A_read_that_misses_the_page_cache_is_served_by_another_thread()
    {
        await using var fixture = new FileFixture();
        byte[] data = new byte[Size];
        new Random(1).NextBytes(data);
        string path = fixture.Directory["disk"];
        await System.IO.File.WriteAllBytesAsync(path, data);
        Tool.Result dropped = await Tool.RunAsync("dd", $"of={path}", "oflag=nocache", "conv=notrunc,fdatasync", "count=0");
        Assert.Equal(0, dropped.ExitCode);

        BlockBackend disk = await fixture.OpenAsync(path);
        byte[] back = new byte[Size];
        await Task.WhenAll(Enumerable.Range(0, 16).Select(i => disk.ReadAsync(i * (Size / 16), back.AsMemory(i * (Size / 16), Size / 16)).AsTask()));
        Assert.Equal(data, back);
    }

    /// <summary>tmpfs has no RWF_NOWAIT, and nothing to wait for.</summary>
    [Fact]
    public async Task A_read_of_a_file_that_is_in_memory_is_served_by_the_caller()
    {
        if (!Directory.Exists("/dev/shm")) Assert.Skip("no /dev/shm");
        await using var fixture = new FileFixture();
        byte[] data = new byte[5000], back = new byte[5120];
        new Random(1).NextBytes(data);
        string path = Path.Combine("/dev/shm", $"varve-{Guid.NewGuid():N}");
        try
        {
            await System.IO.File.WriteAllBytesAsync(path, data);
            BlockNode node = await fixture.OpenNodeAsync(path, new NodeSettings { ReadOnly = true });
            await fixture.UseAsync(node, BlockPermissions.ConsistentRead);
            for (int i = 0; i < 3; i++)
            {
                back.AsSpan().Fill(0xEE);
                ValueTask read = node.ReadAsync(0, back, default);
                Assert.True(read.IsCompletedSuccessfully);
                Assert.Equal([.. data, .. new byte[120]], back);
            }
        }
        finally
        {
            System.IO.File.Delete(path);
        }
    }

    [Fact]
    public async Task The_last_sector_of_a_file_of_odd_length_ends_in_zeros()
    {
        await using var fixture = new FileFixture();
        string path = fixture.Directory["odd"];
        await System.IO.File.WriteAllBytesAsync(path, Enumerable.Repeat((byte)7, 1000).ToArray());
        BlockBackend disk = await fixture.OpenAsync(path);
        Assert.Equal(1024, disk.Length);
        byte[] back = new byte[1024];
        back.AsSpan().Fill(9);
        await disk.ReadAsync(0, back);
        Assert.Equal([.. Enumerable.Repeat((byte)7, 1000), .. new byte[24]], back);
        BlockStatus status = await disk.Node.GetStatusAsync(0, 1024, precise: true, default);
        Assert.True(status is { IsData: true, Length: 1024, IsEndOfFile: true });
    }

    [Fact]
    public async Task Direct_reads_of_a_file_of_odd_length_end_in_zeros()
    {
        await using var fixture = new FileFixture();
        string path = fixture.Directory["odd"];
        await System.IO.File.WriteAllBytesAsync(path, Enumerable.Repeat((byte)7, 5000).ToArray());
        BlockBackend disk = await OpenDirectAsync(fixture, path);
        byte[] back = new byte[5120];
        await disk.ReadAsync(0, back);
        Assert.Equal([.. Enumerable.Repeat((byte)7, 5000), .. new byte[120]], back);
    }

    [Fact]
    public async Task A_write_past_the_end_grows_the_node()
    {
        await using var fixture = new FileFixture();
        BlockNode node = await fixture.OpenNodeAsync(fixture.Directory.File("disk", 0));
        BlockBackend disk = await fixture.UseAsync(node);
        Assert.Equal(0, node.Length);
        await node.WriteAsync(64.KiB, new byte[512], WriteFlags.None, default);
        Assert.Equal(64.KiB + 512, node.Length);
        await node.WriteZeroesAsync(1.MiB, 64.KiB, ZeroFlags.MayUnmap, default);
        Assert.Equal(1.MiB + 64.KiB, node.Length);
        await node.WriteZeroesAsync(2.MiB, 64.KiB, ZeroFlags.None, default);
        Assert.Equal(2.MiB + 64.KiB, node.Length);
        Assert.Equal(node.Length, new FileInfo(((FileNode)node).HostPath).Length);
        await Assert.ThrowsAsync<BlockException>(async () => await disk.WriteAsync(disk.Length, new byte[1]));
    }

    [Fact]
    public async Task Holes_are_reported_where_nothing_was_written_and_where_space_was_given_back()
    {
        await using var fixture = new FileFixture();
        BlockBackend disk = await fixture.OpenAsync(fixture.Directory.File("disk", 1.MiB));
        byte[] data = new byte[64.KiB];
        data.AsSpan().Fill(1);
        await disk.WriteAsync(64.KiB, data);
        await disk.WriteAsync(256.KiB, data);
        await disk.DiscardAsync(256.KiB, 64.KiB);
        Assert.Equal([(0, 64.KiB, false), (64.KiB, 64.KiB, true), (128.KiB, 1.MiB - 128.KiB, false)], await RunsAsync(disk.Node));
        Assert.Equal(64.KiB, await disk.Node.GetAllocatedSizeAsync(default));

        await disk.WriteZeroesAsync(64.KiB, 64.KiB);
        Assert.True(await disk.Node.GetAllocatedSizeAsync(default) >= 64.KiB, "zeroing without unmap keeps the space");
        await disk.WriteZeroesAsync(64.KiB, 64.KiB, ZeroFlags.MayUnmap);
        Assert.Equal(0, await disk.Node.GetAllocatedSizeAsync(default));
    }

    [Fact]
    public async Task Discard_is_ignored_unless_the_node_was_opened_with_it()
    {
        await using var fixture = new FileFixture();
        BlockBackend disk = await fixture.OpenAsync(fixture.Directory.File("disk", 1.MiB), new NodeSettings());
        byte[] data = [.. Enumerable.Repeat((byte)5, 4096)], back = new byte[4096];
        await disk.WriteAsync(0, data);
        await disk.DiscardAsync(0, 4096);
        await disk.ReadAsync(0, back);
        Assert.Equal(data, back);
    }

    [Theory]
    [InlineData(PreallocationMode.Off, 4096)]
    [InlineData(PreallocationMode.Falloc, 1 << 20)]
    [InlineData(PreallocationMode.Full, 1 << 20)]
    internal async Task Resizing_makes_space_ready_as_asked(PreallocationMode preallocation, long allocated)
    {
        await using var fixture = new FileFixture();
        BlockNode node = await fixture.OpenNodeAsync(fixture.Directory.File("disk", 0));
        await fixture.UseAsync(node);
        await node.ResizeAsync(1.MiB, preallocation, default);
        Assert.Equal(1.MiB, node.Length);
        Assert.Equal(allocated, await node.GetAllocatedSizeAsync(default));
        await node.ResizeAsync(4096, PreallocationMode.Off, default);
        Assert.Equal(4096, new FileInfo(((FileNode)node).HostPath).Length);
    }

    [Fact]
    public async Task Preallocation_that_makes_no_sense_is_refused_in_the_known_words()
    {
        await using var fixture = new FileFixture();
        BlockNode node = await fixture.OpenNodeAsync(fixture.Directory.File("disk", 1.MiB));
        await fixture.UseAsync(node);
        var metadata = await Assert.ThrowsAsync<BlockException>(async () => await node.ResizeAsync(2.MiB, PreallocationMode.Metadata, default));
        Assert.Equal("Unsupported preallocation mode: metadata", metadata.Message);
        var shrink = await Assert.ThrowsAsync<BlockException>(async () => await node.ResizeAsync(4096, PreallocationMode.Full, default));
        Assert.Equal("Cannot use preallocation for shrinking files", shrink.Message);
        var large = await Assert.ThrowsAsync<BlockException>(async () => await node.ResizeAsync(1L << 60, PreallocationMode.Off, default));
        Assert.Equal("Could not resize file: File too large", large.Message);
        Assert.Equal(1.MiB, node.Length);
    }

    [Fact]
    public async Task A_full_file_system_is_ENOSPC_and_stays_usable()
    {
        Assert.SkipUnless(Environment.UserName == "root", "mounting a small tmpfs needs root");
        await using var fixture = new FileFixture();
        string mount = System.IO.Directory.CreateDirectory(fixture.Directory["small"]).FullName;
        Tool.Result mounted = await Tool.RunAsync("mount", "-t", "tmpfs", "-o", "size=1m", "none", mount);
        Assert.SkipUnless(mounted.ExitCode == 0, $"mounting a small tmpfs is not allowed here: {mounted.Error}");
        try
        {
            string path = Path.Combine(mount, "disk");
            using (FileStream file = System.IO.File.Create(path)) file.SetLength(8.MiB);
            BlockBackend disk = await fixture.OpenAsync(path);
            var write = await Assert.ThrowsAsync<BlockException>(async () => await disk.WriteAsync(0, new byte[2.MiB]));
            Assert.Equal((BlockErrorKind.NoSpace, Errno.ENOSPC), (write.Kind, write.Errno));
            var zero = await Assert.ThrowsAsync<BlockException>(async () => await disk.WriteZeroesAsync(4.MiB, 2.MiB));
            Assert.Equal(BlockErrorKind.NoSpace, zero.Kind);

            await disk.WriteZeroesAsync(0, 8.MiB, ZeroFlags.MayUnmap);
            byte[] data = [.. Enumerable.Repeat((byte)3, 4096)], back = new byte[4096];
            await disk.WriteAsync(4096, data);
            await disk.WriteZeroesAsync(8192, 4096);
            await disk.ReadAsync(4096, back);
            Assert.Equal(data, back);
            await fixture.CloseAsync(disk);
        }
        finally
        {
            Assert.Equal(0, (await Tool.RunAsync("umount", mount)).ExitCode);
        }
    }

    [Fact]
    public async Task A_flush_that_failed_keeps_failing()
    {
        FaultyFile? faulty = null;
        await using var fixture = new FileFixture(new FileDriver((name, access, sets) => faulty = new FaultyFile(HostFile.Open(name, access, sets))));
        BlockBackend disk = await fixture.OpenAsync(fixture.Directory.File("disk", 1.MiB));
        await disk.FlushAsync();
        Assert.Equal(0, faulty!.Flushes);

        await disk.WriteAsync(0, new byte[512]);
        await disk.FlushAsync();
        await disk.FlushAsync();
        Assert.Equal(1, faulty.Flushes);   // nothing was written in between

        await disk.WriteAsync(0, new byte[512]);
        faulty.FailFlush = true;
        Assert.Equal(Errno.EIO, (await Assert.ThrowsAsync<BlockException>(async () => await disk.FlushAsync())).Errno);
        faulty.FailFlush = false;
        Assert.Equal(Errno.EIO, (await Assert.ThrowsAsync<BlockException>(async () => await disk.FlushAsync())).Errno);
        await disk.WriteAsync(0, new byte[512]);
        await Assert.ThrowsAsync<BlockException>(async () => await disk.FlushAsync());
    }

    [Fact]
    public async Task A_write_with_FUA_is_durable_by_itself_and_grows_the_file()
    {
        FaultyFile? faulty = null;
        await using var fixture = new FileFixture(new FileDriver((name, access, sets) => faulty = new FaultyFile(HostFile.Open(name, access, sets))));
        BlockBackend disk = await fixture.OpenAsync(fixture.Directory.File("disk", 0));
        byte[] data = new byte[50_000], back = new byte[50_000];
        new Random(5).NextBytes(data);
        await disk.Node.WriteAsync(4096, data, WriteFlags.Fua, default);
        Assert.Equal((1, 0), (faulty!.DurableWrites, faulty.Flushes));
        await disk.ReadAsync(4096, back);
        Assert.Equal(data, back);
        await disk.FlushAsync();
        Assert.Equal(0, faulty.Flushes);

        faulty.FailFlush = true;
        await Assert.ThrowsAsync<BlockException>(async () => await disk.WriteAsync(0, data, WriteFlags.Fua));
        faulty.FailFlush = false;
        await Assert.ThrowsAsync<BlockException>(async () => await disk.FlushAsync());
    }

    [Fact]
    public async Task Closing_writes_back_what_was_not_flushed()
    {
        FaultyFile? faulty = null;
        await using var fixture = new FileFixture(new FileDriver((name, access, sets) => faulty = new FaultyFile(HostFile.Open(name, access, sets))));
        BlockBackend disk = await fixture.OpenAsync(fixture.Directory.File("disk", 1.MiB));
        await disk.WriteAsync(0, new byte[512]);
        await fixture.CloseAsync(disk);
        Assert.Equal(1, faulty!.Flushes);
    }

    [Fact]
    public async Task Flushes_are_ignored_under_no_flush()
    {
        FaultyFile? faulty = null;
        await using var fixture = new FileFixture(new FileDriver((name, access, sets) => faulty = new FaultyFile(HostFile.Open(name, access, sets))));
        BlockBackend disk = await fixture.OpenAsync(fixture.Directory.File("disk", 1.MiB), new NodeSettings { CacheNoFlush = true });
        await disk.WriteAsync(0, new byte[512]);
        await disk.FlushAsync();
        Assert.Equal(0, faulty!.Flushes);
    }

    [Fact]
    public async Task Reads_and_writes_that_the_page_cache_serves_allocate_nothing()
    {
        await using var fixture = new FileFixture();
        BlockBackend disk = await fixture.OpenAsync(fixture.Directory.File("disk", 1.MiB));
        using IOBuffer buffer = IOBuffer.Rent(4096);
        for (int i = 0; i < 256; i++) await disk.WriteAsync(i * 4096, buffer.Memory);
        for (int i = 0; i < 2000; i++) Request(i);

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10_000; i++) Request(i);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Request(int i)
        {
            ValueTask request = i % 2 == 0 ? disk.ReadAsync(i % 256 * 4096, buffer.Memory) : disk.WriteAsync(i % 256 * 4096, buffer.Memory);
            Assert.True(request.IsCompletedSuccessfully);
            request.GetAwaiter().GetResult();
        }
    }

    [Theory]
    [InlineData("", "The 'file' block driver requires a file name")]
    [InlineData("missing", "Could not open '{0}': No such file or directory")]
    [InlineData("directory", "Could not open '{0}': Is a directory")]
    [InlineData("/dev/null", "'file' driver requires '{0}' to be a regular file")]
    [InlineData("/dev/fd/999", "Could not open '{0}': No such file or directory")]
    [InlineData("/dev/fdset/999", "Could not dup FD for {0} flags 2: No such file or directory")]
    [InlineData("/dev/fdset/x", "Could not parse fdset {0}")]
    [InlineData("/dev/null\0x", "Could not open a file whose name has a NUL in it: Invalid argument")]
    public async Task What_cannot_be_opened_is_refused_in_the_known_words(string name, string message)
    {
        await using var fixture = new FileFixture();
        System.IO.Directory.CreateDirectory(fixture.Directory["directory"]);
        string path = name.Length == 0 || name[0] == '/' ? name : fixture.Directory[name];
        var refused = await Assert.ThrowsAsync<BlockException>(() => fixture.OpenNodeAsync(path));
        Assert.Equal(string.Format(System.Globalization.CultureInfo.InvariantCulture, message, path), refused.Message);
    }

    [Fact]
    public async Task A_directory_opened_for_reading_is_no_regular_file()
    {
        await using var fixture = new FileFixture();
        var refused = await Assert.ThrowsAsync<BlockException>(
            () => fixture.OpenNodeAsync(fixture.Directory.Path, new NodeSettings { ReadOnly = true }));
        Assert.Equal($"'file' driver requires '{fixture.Directory.Path}' to be a regular file", refused.Message);
    }

    [Theory]
    [InlineData("aio", "native", "aio=native was specified, but it requires cache.direct=on, which was not specified.")]
    [InlineData("aio", "foo", "invalid parameter value: foo")]
    [InlineData("locking", "bogus", "invalid parameter value: bogus")]
    [InlineData("pr-manager", "x", "No persistent reservation manager with id 'x'")]
    public async Task Options_that_cannot_be_honoured_are_refused(string option, string value, string message)
    {
        await using var fixture = new FileFixture();
        string path = fixture.Directory.File("disk", 4096);
        var refused = await Assert.ThrowsAsync<BlockException>(() => fixture.OpenNodeAsync(path, options: new JsonObject { [option] = value }));
        Assert.Equal(message, refused.Message);
    }

    [Fact]
    public async Task Direct_io_on_a_file_system_without_it_is_refused()
    {
        await using var fixture = new FileFixture();
        var refused = await Assert.ThrowsAsync<BlockException>(
            () => fixture.OpenNodeAsync("/proc/version", new NodeSettings { ReadOnly = true, CacheDirect = true }));
        Assert.Equal("Could not open '/proc/version': filesystem does not support O_DIRECT", refused.Message);
    }

    [Fact]
    public async Task An_unlinked_file_opens_through_its_descriptor_and_is_the_same_file()
    {
        await using var fixture = new FileFixture();
        string path = fixture.Directory.File("disk", 4096);
        using Microsoft.Win32.SafeHandles.SafeFileHandle handle = System.IO.File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite);
        System.IO.File.Delete(path);
        BlockBackend disk = await fixture.OpenAsync($"/dev/fd/{handle.DangerousGetHandle()}");
        await disk.WriteAsync(0, new byte[] { 1, 2, 3 });
        byte[] back = new byte[3];
        RandomAccess.Read(handle, back, 0);
        Assert.Equal([1, 2, 3], back);
    }

    [Theory]
    [InlineData(true)]    // others may write, so that what was a hole may have become data
    [InlineData(false)]
    public async Task What_lies_where_is_asked_of_the_kernel_once_if_nobody_can_change_it(bool isShared)
    {
        FaultyFile? counted = null;
        await using var fixture = new FileFixture(new FileDriver((name, access, sets) => counted = new FaultyFile(HostFile.Open(name, access, sets))));
        const int Runs = 64, RunLength = 64 << 10;
        string path = Striped(fixture, Runs, RunLength);
        BlockNode node = await fixture.OpenNodeAsync(path, new NodeSettings { ReadOnly = true });
        await fixture.UseAsync(node, BlockPermissions.ConsistentRead, isShared ? BlockPermissions.All : BlockPermissions.ConsistentRead);
        var random = new Random(1);
        const int Queries = 5000;
        for (int i = 0; i < Queries; i++)
        {
            long offset = random.NextInt64(node.Length / 512) * 512;
            BlockStatus status = await node.GetStatusAsync(offset, node.Length - offset, precise: true, default);
            Assert.Equal((offset / RunLength % 2 == 0, RunLength - offset % RunLength), (status.IsData, status.Length));
        }

        if (isShared) Assert.Equal(Queries, counted!.ExtentsAsked);
        else Assert.InRange(counted!.ExtentsAsked, Runs, Runs * 10);
    }

    [Fact]
    public async Task More_extents_than_are_remembered_are_told_right()
    {
        await using var fixture = new FileFixture();
        const int Runs = 5000, RunLength = 4096;
        string path = Striped(fixture, Runs, RunLength);
        BlockNode node = await fixture.OpenNodeAsync(path, new NodeSettings { ReadOnly = true });
        await fixture.UseAsync(node, BlockPermissions.ConsistentRead, BlockPermissions.ConsistentRead);
        for (int pass = 0; pass < 2; pass++)
        {
            Assert.Equal(Enumerable.Range(0, Runs).Select(i => ((long)i * RunLength, (long)RunLength, i % 2 == 0)), await RunsAsync(node));
        }
    }

    /// <summary>A file of runs of data and of holes in turn, data first.</summary>
    private static string Striped(FileFixture fixture, int runs, int runLength)
    {
        string path = fixture.Directory.File("disk", (long)runs * runLength);
        using FileStream file = System.IO.File.OpenWrite(path);
        for (int i = 0; i < runs; i += 2)
        {
            file.Position = (long)i * runLength;
            file.Write(new byte[runLength]);
        }

        return path;
    }

    private static async Task<BlockBackend> OpenDirectAsync(FileFixture fixture, string path, string aio = "threads")
    {
        try
        {
            return await fixture.OpenAsync(path, new NodeSettings { CacheDirect = true, Discard = true }, new JsonObject { ["aio"] = aio });
        }
        catch (BlockException e) when (e.Kind == BlockErrorKind.Unsupported)
        {
            Assert.Skip($"direct I/O on the file system of {fixture.Directory.Path}: {e.Message}");
            throw;
        }
    }

    private static async Task<List<(long, long, bool)>> RunsAsync(BlockNode node)
    {
        var runs = new List<(long, long, bool)>();
        for (long offset = 0; offset < node.Length;)
        {
            BlockStatus status = await node.GetStatusAsync(offset, node.Length - offset, precise: true, default);
            Assert.True(status.HasOffset && status.HostOffset == offset && ReferenceEquals(status.File, node));
            Assert.NotEqual(status.IsData, status.IsZero);
            runs.Add((offset, status.Length, status.IsData));
            offset += status.Length;
        }

        return runs;
    }
}
