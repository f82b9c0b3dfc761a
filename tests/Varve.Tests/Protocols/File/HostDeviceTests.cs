using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Protocols.File;
using Varve.Tests.Support;

namespace Varve.Tests.Protocols.File;

/// <summary>Devices without a loop device are those that every Linux has.</summary>
public sealed class HostDeviceTests
{
    private const BlockPermissions ReadWrite = BlockPermissions.ConsistentRead | BlockPermissions.Write;

    private static async Task<string> RefusalAsync(string driver, string filename, bool readOnly = true)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "devices are Linux's");
        await using var graph = new BlockGraph();
        var options = new JsonObject { ["driver"] = driver, ["filename"] = filename };
        return (await Assert.ThrowsAsync<BlockException>(
            async () => await graph.OpenNodeAsync(options, new OpenContext(), new NodeSettings { ReadOnly = readOnly }))).Message;
    }

    [Theory]
    [InlineData("host_device", "/")]
    [InlineData("host_cdrom", "/proc/self/status")]
    public async Task Only_devices_are_devices(string driver, string filename)
        => Assert.Equal($"'{driver}' driver requires '{filename}' to be either a character or block device", await RefusalAsync(driver, filename));

    [Fact]
    public async Task A_device_is_no_regular_file()
        => Assert.Equal("'file' driver requires '/dev/null' to be a regular file", await RefusalAsync("file", "/dev/null"));

    [Fact]
    public async Task A_directory_does_not_open_for_writing()
        => Assert.Equal("Could not open '/': Is a directory", await RefusalAsync("host_device", "/", readOnly: false));

    [Fact]
    public async Task A_device_that_is_not_there_is_named()
        => Assert.Equal("Could not open '/dev/none': No such file or directory", await RefusalAsync("host_device", "/dev/none"));

    [Fact]
    public async Task Without_a_name_nothing_opens()
        => Assert.Equal("The 'host_cdrom' block driver requires a file name", await RefusalAsync("host_cdrom", ""));

    [Theory]
    [InlineData("/dev/null")]
    [InlineData("/dev/zero")]
    public async Task A_character_device_without_a_length_is_empty(string filename)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "devices are Linux's");
        await using var graph = new BlockGraph();
        BlockNode node = await graph.OpenImageAsync(filename, new() { ["driver"] = "raw" }, new OpenContext(), new NodeSettings());
        Assert.Equal(("host_device", 0L), (node.PrimaryChild!.Node.Driver.Name, node.Length));
        await node.FlushAsync(default);
        await graph.ReleaseAsync(node);
    }

    [Fact]
    public async Task Reservations_need_their_manager()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "devices are Linux's");
        await using var graph = new BlockGraph();
        var options = new JsonObject { ["driver"] = "host_device", ["filename"] = "/dev/null", ["pr-manager"] = "pm" };
        var refused = await Assert.ThrowsAsync<BlockException>(async () => await graph.OpenNodeAsync(options, new OpenContext()));
        Assert.Equal("No persistent reservation manager with id 'pm'", refused.Message);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_is_written_zeroed_and_discarded_is_in_the_device(bool direct)
    {
        using var device = LoopDevice.Make(1.MiB);
        byte[] model = new byte[1.MiB];
        await using (var graph = new BlockGraph())
        {
            var settings = new NodeSettings { CacheDirect = direct, Discard = true };
            BlockNode node = await graph.OpenImageAsync(device.DevicePath, new() { ["driver"] = "raw" }, new OpenContext(), settings);
            Assert.Equal(1.MiB, node.Length);
            BlockBackend disk = await graph.OpenBackendAsync(node, ReadWrite, BlockPermissions.All);
            await graph.ReleaseAsync(node);
            var random = new Random(7);
            for (int i = 0; i < 60; i++)
            {
                int offset = random.Next(1 << 20), length = random.Next(1, Math.Min(200_000, (1 << 20) - offset + 1));
                switch (random.Next(3))
                {
                    case 0:
                        byte[] data = new byte[length];
                        random.NextBytes(data);
                        data.CopyTo(model, offset);
                        await disk.WriteAsync(offset, data, i % 5 == 0 ? WriteFlags.Fua : WriteFlags.None);
                        break;
                    case 1:
                        model.AsSpan(offset, length).Clear();
                        await disk.WriteZeroesAsync(offset, length, i % 2 == 0 ? ZeroFlags.MayUnmap : ZeroFlags.None);
                        break;
                    default:
                        await disk.DiscardAsync(offset, length);
                        await disk.ReadAsync(offset, model.AsMemory(offset, length));   // a discard promises nothing about what is read afterwards
                        break;
                }
            }

            byte[] read = new byte[1.MiB];
            await disk.ReadAsync(0, read);
            Assert.Equal(model, read);
            await disk.FlushAsync();
            await disk.CloseAsync();
        }

        Assert.Equal(model, await System.IO.File.ReadAllBytesAsync(device.DevicePath));
    }

    [Fact]
    public async Task A_device_keeps_its_length()
    {
        using var device = LoopDevice.Make(1.MiB);
        await using var graph = new BlockGraph();
        BlockNode node = await graph.OpenImageAsync(device.DevicePath, new() { ["driver"] = "host_device" }, new OpenContext(), new NodeSettings());
        BlockBackend disk = await graph.OpenBackendAsync(node, ReadWrite | BlockPermissions.Resize, BlockPermissions.All);
        await graph.ReleaseAsync(node);
        await node.ResizeAsync(1.MiB, PreallocationMode.Off, default);
        foreach (long length in new[] { 512L, 2.MiB })
        {
            var refused = await Assert.ThrowsAsync<BlockException>(async () => await node.ResizeAsync(length, PreallocationMode.Off, default));
            Assert.Equal("Cannot resize device files", refused.Message);
        }

        var full = await Assert.ThrowsAsync<BlockException>(async () => await node.ResizeAsync(1.MiB, PreallocationMode.Full, default));
        Assert.Equal("Unsupported preallocation mode 'full'", full.Message);
        await disk.CloseAsync();
    }

    [Fact]
    public async Task A_drive_without_a_disc_says_so()
    {
        using var device = LoopDevice.Make(1.MiB);   // knows nothing of discs
        await using var graph = new BlockGraph();
        BlockNode node = await graph.OpenImageAsync("host_cdrom:" + device.DevicePath, null, new OpenContext(), new NodeSettings { ReadOnly = true });
        Assert.Equal("raw", node.Driver.Name);
        var refused = await Assert.ThrowsAsync<BlockException>(async () => await node.ReadAsync(0, new byte[512], default));
        Assert.Equal("No medium found", refused.Message);
        await graph.ReleaseAsync(node);
    }

    [Fact]
    public void Devices_are_found_by_plain_names_links_included()
    {
        using var device = LoopDevice.Make(1.MiB);
        using var folder = new TempDirectory();
        string link = Path.Combine(folder.Path, "disk");
        System.IO.File.CreateSymbolicLink(link, device.DevicePath);
        Assert.Equal("host_device", BlockDrivers.Default.FindForDevice(link)?.Name);
        Assert.Null(BlockDrivers.Default.FindForDevice(folder.Path));
        Assert.Null(BlockDrivers.Default.FindForDevice(device.BackingFile));
    }
}
