using System.Text.Json.Nodes;
using Varve.Bitmaps;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

public sealed class Qcow2BitmapTests
{
    [Fact]
    public void A_directory_entry_is_what_the_specification_says()
    {
        byte[] golden = Convert.FromHexString("00000000001b0000000000010000000201100002000000006230000000000000");
        Assert.Null(BitmapDirectoryEntry.TryReadAll(golden, 1, out List<BitmapDirectoryEntry> entries));
        BitmapDirectoryEntry entry = Assert.Single(entries);
        Assert.Equal(("b0", 0x1b0000L, 1u, false, true, 16), (entry.Name, entry.Table.Value, entry.TableSize, entry.IsInUse, entry.IsAuto, entry.GranularityBits));
        byte[] written = new byte[entry.EncodedSize];
        entry.WriteTo(written);
        Assert.Equal(golden, written);
    }

    [Fact]
    public void Extra_data_survives_a_rewrite_byte_for_byte()
    {
        byte[] golden = Convert.FromHexString("00000000001b00000000000100000006011000020000000301020362300000" + "00");
        Assert.Null(BitmapDirectoryEntry.TryReadAll(golden, 1, out List<BitmapDirectoryEntry> entries));
        byte[] written = new byte[entries[0].EncodedSize];
        entries[0].WriteTo(written);
        Assert.Equal(golden, written);
        Assert.True(entries[0].IsUsable);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"cluster-size": 512}""")]
    [InlineData("""{"cluster-size": 1024, "lazy-refcounts": true}""")]
    [InlineData("""{"cluster-size": 2097152, "refcount-bits": 1}""")]
    public async Task What_was_marked_is_there_when_the_image_is_opened_again(string options)
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(8.MiB, options);
        await using (OpenedImage opened = await image.OpenAsync())
        {
            await BitmapOperations.AddAsync(opened.Node, "on", 4096, persistent: true, disabled: false);
            await BitmapOperations.AddAsync(opened.Node, "off", null, persistent: true, disabled: true);
            await BitmapOperations.AddAsync(opened.Node, "gone", null, persistent: false, disabled: false);
            await opened.Backend.WriteAsync(100_000, new byte[10_000]);
            await opened.Backend.WriteZeroesAsync(5.MiB, 4096);
            await opened.Backend.DiscardAsync(7.MiB, 1.MiB);
        }

        await using (OpenedImage opened = await image.OpenAsync())
        {
            DirtyBitmap on = BitmapOperations.Find(opened.Node, "on"), off = BitmapOperations.Find(opened.Node, "off");
            Assert.Null(opened.Node.Bitmaps.Find("gone"));
            Assert.True(on.IsEnabled && !off.IsEnabled && on.IsPersistent);
            Assert.Equal((3 + 1 + 256, 0), (on.Count, off.Count));
            Assert.True(on.IsMarked(98_304) && on.IsMarked(106_496) && on.IsMarked(5.MiB) && on.IsMarked(8.MiB - 1));
            await opened.Backend.WriteAsync(0, new byte[1]);
            Assert.Equal(261, on.Count);
        }

        await AssertCleanAsync(image);
    }

    [Fact]
    public async Task A_program_that_dies_leaves_bitmaps_that_nobody_believes()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(8.MiB);
        await using (OpenedImage opened = await image.OpenAsync()) await BitmapOperations.AddAsync(opened.Node, "b", null, persistent: true, disabled: false);
        byte[] dead;
        await using (OpenedImage opened = await image.OpenAsync())
        {
            await opened.Backend.WriteAsync(0, new byte[512]);
            dead = image.File.ToArray();
        }

        image.Memory.Files["image"] = new MemoryBytes(dead);
        await using (OpenedImage opened = await image.OpenAsync())
        {
            Assert.True(BitmapOperations.Find(opened.Node, "b").IsInconsistent);
            foreach (Func<Task> use in (Func<Task>[])
                [
                    async () => await BitmapOperations.ClearAsync(opened.Node, "b"),
                    async () => await BitmapOperations.EnableAsync(opened.Node, "b"),
                    async () => await opened.Backend.Node.ResizeAsync(16.MiB, PreallocationMode.Off, default),
                ])
            {
                BlockException refused = await Assert.ThrowsAsync<BlockException>(use);
                Assert.Equal("Bitmap 'b' is inconsistent and cannot be used", refused.Message);
                Assert.Equal("Try block-dirty-bitmap-remove to delete this bitmap from disk", refused.Hint);
            }
        }

        await AssertCleanAsync(image);      // kept as it was
        await using (OpenedImage opened = await image.OpenAsync()) await BitmapOperations.RemoveAsync(opened.Node, "b");
        await AssertCleanAsync(image);
        await using (OpenedImage opened = await image.OpenAsync()) Assert.False(opened.Node.Bitmaps.Any);
    }

    [Fact]
    public async Task A_bitmap_stored_by_a_reopening_that_failed_is_not_believed_after_a_later_write()
    {
        for (int failAt = 0; ; failAt++)
        {
            await using MemoryImage image = await MemoryImage.CreateAsync(8.MiB, """{"cluster-size": 512}""");
            await using (OpenedImage opened = await image.OpenAsync()) await BitmapOperations.AddAsync(opened.Node, "b", 65536, persistent: true, disabled: false);
            byte[] dead;
            bool hasFailed = false;
            await using (OpenedImage opened = await image.OpenAsync())
            {
                await opened.Backend.WriteAsync(1.MiB, new byte[512]);
                MemoryNode file = image.Memory.OpenNodes[^1];
                int count = 0;
                file.OnRequest = (kind, _, _) => kind != "read" && count++ == failAt ? throw BlockException.FromErrno(Errno.EIO) : default;
                try
                {
                    await opened.Node.PreparePermissionsAsync(BlockPermissions.ConsistentRead, BlockPermissions.All, readOnly: true, default);
                }
                catch (BlockException)
                {
                    hasFailed = true;
                }

                opened.Node.AbortPermissions();
                file.OnRequest = null;
                await opened.Backend.WriteAsync(0, new byte[512]);
                await opened.Backend.FlushAsync();
                dead = image.File.ToArray();
            }

            image.Memory.Files["image"] = new MemoryBytes(dead);
            await using (OpenedImage opened = await image.OpenAsync())
            {
                DirtyBitmap bitmap = BitmapOperations.Find(opened.Node, "b");
                Assert.True(bitmap.IsInconsistent || (bitmap.IsMarked(0) && bitmap.IsMarked(1.MiB)), $"request {failAt}");
            }

            if (hasFailed) continue;
            Assert.True(failAt > 3);
            return;
        }
    }

    [Fact]
    public async Task Bitmaps_follow_the_size_of_the_disk()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(8.MiB);
        await using (OpenedImage opened = await image.OpenAsync())
        {
            await BitmapOperations.AddAsync(opened.Node, "b", 512, persistent: true, disabled: false);
            await opened.Backend.WriteAsync(0, new byte[8.MiB]);
            await opened.Backend.Node.ResizeAsync(3.MiB, PreallocationMode.Off, default);
            await opened.Backend.Node.ResizeAsync(100.MiB, PreallocationMode.Off, default);
            Assert.Equal(3.MiB / 512, BitmapOperations.Find(opened.Node, "b").Count);
        }

        await using (OpenedImage opened = await image.OpenAsync()) Assert.Equal(3.MiB / 512, BitmapOperations.Find(opened.Node, "b").Count);
        await AssertCleanAsync(image);
    }

    [Fact]
    public async Task The_reference_finds_what_we_stored_and_we_what_it_stored()
    {
        await using var fixture = new Qcow2Fixture();
        string path = fixture.CreateByReference("a.qcow2", "64M");
        BlockBackend disk = await fixture.OpenAsync(path);
        await BitmapOperations.AddAsync(disk.Node, "ours", 65536, persistent: true, disabled: false);
        await disk.WriteAsync(1.MiB, new byte[200_000]);
        await fixture.CloseAsync(disk);
        Qcow2Fixture.AssertClean(path);
        JsonNode info = JsonNode.Parse(ReferenceTool.Run("qemu-img", "info", "--output=json", path))!;
        Assert.Equal("""[{"flags":["auto"],"name":"ours","granularity":65536}]""", info["format-specific"]!["data"]!["bitmaps"]!.ToJsonString());

        ReferenceTool.Run("qemu-img", "bitmap", "--add", "--merge", "ours", "-g", "4096", path, "theirs");
        ReferenceTool.Run("qemu-io", "-c", "write 40M 1", path);
        disk = await fixture.OpenAsync(path);
        Assert.Equal(5, BitmapOperations.Find(disk.Node, "ours").Count);
        Assert.Equal(4 * 16 + 1, BitmapOperations.Find(disk.Node, "theirs").Count);
        await BitmapOperations.RemoveAsync(disk.Node, "ours");
        await fixture.CloseAsync(disk);
        Qcow2Fixture.AssertClean(path);
        ReferenceTool.Run("qemu-img", "bitmap", "--remove", path, "theirs");
        Qcow2Fixture.AssertClean(path);
    }

    [Fact]
    public async Task A_writer_that_knows_no_bitmaps_makes_them_void()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(8.MiB);
        await using (OpenedImage opened = await image.OpenAsync()) await BitmapOperations.AddAsync(opened.Node, "b", null, persistent: true, disabled: false);
        byte[] bytes = image.File.ToArray();
        Assert.Equal(1, bytes[95]);
        bytes[95] = 0;
        image.Memory.Files["image"] = new MemoryBytes(bytes);
        await using (OpenedImage opened = await image.OpenAsync())
        {
            Assert.False(opened.Node.Bitmaps.Any);
            await BitmapOperations.AddAsync(opened.Node, "new", null, persistent: true, disabled: false);
        }

        await using (OpenedImage opened = await image.OpenAsync()) Assert.Equal("new", Assert.Single(opened.Node.Bitmaps.Named).Name);
        (CheckResult check, List<string> lines) = await image.CheckAsync();
        Assert.True(check is { Corruptions: 0, CheckErrors: 0, Leaks: 2 }, string.Join('\n', lines));
    }

    [Fact]
    public async Task A_read_only_image_does_not_let_its_bitmaps_change()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(8.MiB);
        await using (OpenedImage opened = await image.OpenAsync()) await BitmapOperations.AddAsync(opened.Node, "b", null, persistent: true, disabled: false);
        await using OpenedImage reader = await image.OpenAsync(readOnly: true);
        BlockException refused = await Assert.ThrowsAsync<BlockException>(async () => await BitmapOperations.ClearAsync(reader.Node, "b"));
        Assert.Equal("Bitmap 'b' is readonly and cannot be modified", refused.Message);
        using IDisposable held = await image.Graph.ControlLock.EnterAsync();
        await image.Graph.SetReadOnlyAsync(reader.Node, readOnly: false);
        await BitmapOperations.DisableAsync(reader.Node, "b");
        Assert.Contains("in-use", reader.Node.GetSpecificInfo().ToJsonString());
        await image.Graph.SetReadOnlyAsync(reader.Node, readOnly: true);
        Assert.DoesNotContain("in-use", reader.Node.GetSpecificInfo().ToJsonString());
    }

    [Theory]
    [InlineData("", 65536L, "Bitmap name cannot be empty")]
    [InlineData("b", 100L, "Granularity must be power of 2 and at least 512")]
    [InlineData("b", 256L, "Granularity must be power of 2 and at least 512")]
    [InlineData("there", 512L, "Bitmap already exists: there")]
    public async Task What_cannot_be_a_bitmap_is_refused(string name, long granularity, string message)
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(8.MiB);
        await using OpenedImage opened = await image.OpenAsync();
        await BitmapOperations.AddAsync(opened.Node, "there", null, persistent: false, disabled: false);
        BlockException refused = await Assert.ThrowsAsync<BlockException>(
            async () => await BitmapOperations.AddAsync(opened.Node, name, granularity, persistent: true, disabled: false));
        Assert.Equal(message, refused.Message);
    }

    [Fact]
    public async Task A_store_that_fails_gives_back_what_it_had_taken()
    {
        bool failed = true;
        for (int failing = 0; failed; failing++)
        {
            await using MemoryImage image = await MemoryImage.CreateAsync(8.MiB, """{"cluster-size": 4096}""");
            OpenedImage opened = await image.OpenAsync();
            await BitmapOperations.AddAsync(opened.Node, "a", 512, persistent: true, disabled: false);
            await opened.Backend.WriteAsync(0, new byte[6.MiB]);
            await opened.Backend.FlushAsync();
            int writes = 0;
            bool isHeader = false;
            image.Memory.OpenNodes.Single().OnRequest = (kind, offset, _) =>
            {
                if (kind != "write" || writes++ != failing) return default;
                isHeader = offset == 0;
                throw BlockException.FromErrno(Errno.EIO);
            };
            failed = await Record.ExceptionAsync(async () => await opened.DisposeAsync()) is not null;
            (CheckResult result, _) = await image.CheckAsync();
            Assert.Equal((0, 0), (result.Corruptions, result.CheckErrors));
            if (!isHeader) Assert.Equal(0, result.Leaks);
        }
    }

    [Fact]
    public async Task Version_2_stores_no_bitmaps()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(8.MiB, """{"version": "v2"}""");
        await using OpenedImage opened = await image.OpenAsync();
        BlockException refused = await Assert.ThrowsAsync<BlockException>(
            async () => await BitmapOperations.AddAsync(opened.Node, "b", null, persistent: true, disabled: false));
        Assert.Equal($"Can't make bitmap 'b' persistent in '{opened.Node.NodeName}': Cannot store dirty bitmaps in qcow2 v2 files", refused.Message);
    }

    [Fact]
    public async Task Going_back_to_a_snapshot_is_refused_while_there_are_bitmaps()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(8.MiB);
        await using OpenedImage opened = await image.OpenAsync();
        await Qcow2SnapshotTests.CreateAsync(opened, "s");
        await BitmapOperations.AddAsync(opened.Node, "b", null, persistent: true, disabled: false);
        BlockException refused = await Assert.ThrowsAsync<BlockException>(() => Qcow2SnapshotTests.ApplyAsync(opened, "s"));
        Assert.Equal("Device has active dirty bitmaps", refused.Message);
    }

    private static async Task AssertCleanAsync(MemoryImage image)
    {
        (CheckResult result, List<string> lines) = await image.CheckAsync();
        Assert.True(result is { Corruptions: 0, Leaks: 0, CheckErrors: 0 }, string.Join('\n', lines));
        using var folder = new TempDirectory();
        await File.WriteAllBytesAsync(folder["image"], image.File.ToArray());
        Qcow2Fixture.AssertClean(folder["image"]);
    }
}
