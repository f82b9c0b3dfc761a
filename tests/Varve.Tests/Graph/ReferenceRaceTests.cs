using System.Text.Json.Nodes;
using Varve.Formats.Qcow2;
using Varve.Formats.Raw;
using Varve.Graph;
using Varve.Protocols.File;
using Varve.Tests.Hostile;
using Varve.Tests.Support;

namespace Varve.Tests.Graph;

/// <summary>Somebody changes what a name means between the policy's decision and the opening.</summary>
public sealed class ReferenceRaceTests : IDisposable
{
    private readonly TempDirectory _folder = new();

    public ReferenceRaceTests()
    {
        Directory.CreateDirectory(_folder["images"]);
        Directory.CreateDirectory(_folder["secrets"]);
        File.WriteAllText(_folder["images/base"], "allowed");
        File.WriteAllText(_folder["secrets/base"], "secret!");
        Write("base");
    }

    [Fact]
    public async Task A_link_put_in_the_place_of_an_allowed_file_is_refused()
    {
        BlockException e = await OpenWhileAsync(() =>
        {
            File.Delete(_folder["images/base"]);
            File.CreateSymbolicLink(_folder["images/base"], _folder["secrets/base"]);
        });
        Assert.Equal(BlockErrorKind.Denied, e.Kind);
        Assert.Contains($"may be opened as '{_folder["images/base"]}' only, but is '{_folder["secrets/base"]}'", e.Message);
    }

    [Fact]
    public async Task A_link_put_in_the_place_of_an_allowed_directory_is_refused()
    {
        Directory.CreateDirectory(_folder["images/sub"]);
        File.WriteAllText(_folder["images/sub/base"], "allowed");
        Write("sub/base");
        BlockException e = await OpenWhileAsync(() =>
        {
            Directory.Delete(_folder["images/sub"], recursive: true);
            Directory.CreateSymbolicLink(_folder["images/sub"], _folder["secrets"]);
        }, ReferencePolicy.Roots(_folder["images"]));
        Assert.Equal(BlockErrorKind.Denied, e.Kind);
    }

    [Fact]
    public async Task A_name_that_leaves_through_a_link_and_back_over_two_dots_is_refused()
    {
        // By its letters "out/../base" is images/base; the kernel goes to the link's target first, and ends in secrets/base.
        Directory.CreateDirectory(_folder["secrets/inner"]);
        Directory.CreateSymbolicLink(_folder["images/out"], _folder["secrets/inner"]);
        Write("out/../base");
        BlockException e = await OpenWhileAsync(() => { });
        Assert.Equal(BlockErrorKind.Denied, e.Kind);
    }

    [Fact]
    public async Task The_directory_of_an_image_is_the_one_it_was_opened_in()
    {
        // The image's own name becomes a link into the secrets after it was opened: they are not its directory.
        File.Move(_folder["images/top"], _folder["images/real"]);
        File.CreateSymbolicLink(_folder["top"], _folder["images/real"]);
        File.WriteAllBytes(_folder["images/real"], new HostileQcow2().Backing(_folder["secrets/base"]).Bytes);
        File.WriteAllBytes(_folder["secrets/other"], []);
        BlockException e = await OpenWhileAsync(() => { }, name: _folder["top"], afterTop: () =>
        {
            File.Delete(_folder["top"]);
            File.CreateSymbolicLink(_folder["top"], _folder["secrets/other"]);
        });
        Assert.Equal(BlockErrorKind.Denied, e.Kind);
        Assert.Contains("which may not be opened", e.Message);
    }

    [Fact]
    public async Task Under_a_thread_that_swaps_links_the_secret_is_never_read()
    {
        File.Move(_folder["images/base"], _folder["images/real"]);
        using var stop = new CancellationTokenSource();
        Task swapping = Task.Run(() =>
        {
            for (int i = 0; !stop.IsCancellationRequested; i++)
            {
                string target = i % 2 == 0 ? _folder["images/real"] : _folder["secrets/base"];
                File.CreateSymbolicLink(_folder["images/new"], target);
                File.Move(_folder["images/new"], _folder["images/base"], overwrite: true);
            }
        });
        int opened = 0, refused = 0;
        byte[] data = new byte[7];
        for (int i = 0; i < 300; i++)
        {
            await using var layer = new BlockLayer();
            try
            {
                await using VirtualDisk disk = await layer.OpenAsync(_folder["images/top"], new DiskOpening { Format = "qcow2", References = ReferencePolicy.SameDirectory });
                await disk.ReadAsync(HostileQcow2.Cluster, new byte[512]);
                await disk.ReadAsync(0, data);
                Assert.Equal("allowed"u8, data);
                opened++;
            }
            catch (BlockException)
            {
                refused++;
            }
        }

        await stop.CancelAsync();
        await swapping;
        Assert.True(refused > 0, $"opened {opened}");
    }

    [Theory]
    [InlineData("base\0/../../secrets/base")]
    [InlineData("loop/base")]
    [InlineData("fifo")]
    public async Task A_name_that_is_no_file_is_a_block_exception_and_not_waited_for(string name)
    {
        File.CreateSymbolicLink(_folder["images/loop"], "loop");
        if (OperatingSystem.IsLinux()) System.Diagnostics.Process.Start("mkfifo", _folder["images/fifo"]).WaitForExit();
        Write(name);
        await Task.Run(() => OpenWhileAsync(() => { })).WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
    }

    /// <summary>An image without clusters of its own, so that it shows its backing file.</summary>
    private void Write(string backing) => File.WriteAllBytes(_folder["images/top"], new HostileQcow2().U64(HostileQcow2.L2, 0).Backing(backing).Bytes);

    private async Task<BlockException> OpenWhileAsync(Action swap, ReferencePolicy? policy = null, string? name = null, Action? afterTop = null)
    {
        string top = name ?? _folder["images/top"];
        var files = new FileDriver((path, access, sets) =>
        {
            if (path != top) swap();
            HostFile file = HostFile.Open(path, access, sets);
            if (path == top) afterTop?.Invoke();
            return file;
        });
        await using var graph = new BlockGraph(new BlockDrivers([files, new Qcow2Driver(), new RawDriver()]));
        using IDisposable held = await graph.ControlLock.EnterAsync();
        return await Assert.ThrowsAsync<BlockException>(async () => await graph.OpenImageAsync(
            top, new JsonObject { ["driver"] = "qcow2" }, new OpenContext { References = policy ?? ReferencePolicy.SameDirectory },
            new NodeSettings { ReadOnly = true }));
    }

    public void Dispose() => _folder.Dispose();
}
