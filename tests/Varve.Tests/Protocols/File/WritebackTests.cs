using System.Text.Json.Nodes;
using Microsoft.Win32.SafeHandles;
using Varve.Graph;
using Varve.Protocols.File;
using Varve.Tests.Support;

namespace Varve.Tests.Protocols.File;

/// <summary>What a file has the host begin to write back.</summary>
public sealed class WritebackTests
{
    private const int Large = 128 << 10;

    [Theory]
    [InlineData("threads")]
    [InlineData("io_uring")]
    public async Task The_range_of_the_large_writes_since_the_last_time(string aio)
    {
        await using Fixture fixture = await Fixture.OpenAsync(new JsonObject { ["aio"] = aio });
        await fixture.Node.BeginWritebackAsync();
        await fixture.Disk.WriteAsync(7 * Large, new byte[Large]);
        await fixture.Disk.WriteAsync(3 * Large, new byte[Large]);
        await fixture.Disk.WriteAsync(0, new byte[4096]);   // a guest's, which may well be written again
        await fixture.Node.BeginWritebackAsync();
        await fixture.Node.BeginWritebackAsync();
        Assert.Equal([(3 * Large, 5 * Large)], fixture.File.Ranges);

        long written = fixture.Node.WrittenCount;
        await fixture.Disk.WriteAsync(Large, new byte[Large]);
        await fixture.Node.BeginWritebackAsync();
        Assert.Equal((Large, Large), fixture.File.Ranges[^1]);
        Assert.Equal(written + 1, fixture.Node.WrittenCount);   // it is no change that a flush would be needed for
    }

    [Fact]
    public async Task Nothing_where_nobody_wants_the_data_to_be_durable()
    {
        await using Fixture fixture = await Fixture.OpenAsync(new JsonObject { ["cache"] = new JsonObject { ["no-flush"] = true } });
        await fixture.Disk.WriteAsync(0, new byte[Large]);
        await fixture.Node.BeginWritebackAsync();
        Assert.Empty(fixture.File.Ranges);
    }

    [Fact]
    public async Task A_format_has_its_file_do_it_and_leaves_its_backing_image_alone()
    {
        using var directory = new TempDirectory();
        var files = new Dictionary<string, WatchedFile>();
        await using var graph = new BlockGraph(new BlockDrivers(
            [.. BlockDrivers.Default.All.Where(d => d.Name != "file"), new FileDriver((name, access, _) => files[System.IO.Path.GetFileName(name)] = new WatchedFile(name, access))]));
        await Tool.RunAsync("qemu-img", "create", "-q", "-f", "raw", directory["base"], "1M");
        await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", "-b", directory["base"], "-F", "raw", directory["top"]);
        using IDisposable held = await graph.ControlLock.EnterAsync();
        BlockNode top = await graph.OpenNodeAsync(
            new JsonObject { ["driver"] = "qcow2", ["file"] = new JsonObject { ["driver"] = "file", ["filename"] = directory["top"] } },
            new OpenContext { References = ReferencePolicy.Everything });
        BlockBackend disk = await graph.OpenBackendAsync(top, BlockPermissions.Write, BlockPermissions.All);
        await disk.WriteAsync(0, Enumerable.Repeat((byte)1, 4 * Large).ToArray());
        await top.BeginWritebackAsync();
        Assert.Equal(4 * Large, Assert.Single(files["top"].Ranges).Length);
        Assert.Empty(files["base"].Ranges);
        await disk.CloseAsync();
    }

    /// <summary>A file that notes what it was asked for, and does it.</summary>
    private sealed class WatchedFile(string name, HostFileAccess access)
        : LinuxFile(name, Open(name, access), access, new FdSets(), fdSet: null)
    {
        public List<(long Offset, long Length)> Ranges { get; } = [];

        public override void BeginWriteback(long offset, long length)
        {
            Ranges.Add((offset, length));
            base.BeginWriteback(offset, length);
        }

        private static SafeFileHandle Open(string name, HostFileAccess access)
            => System.IO.File.OpenHandle(name, FileMode.Open, access.Writable ? FileAccess.ReadWrite : FileAccess.Read, FileShare.ReadWrite);
    }

    private sealed class Fixture : IAsyncDisposable
    {
        private readonly FileFixture _files;

        private Fixture(FileFixture files) => _files = files;

        public WatchedFile File { get; private set; } = null!;

        public BlockBackend Disk { get; private set; } = null!;

        public FileNode Node => (FileNode)Disk.Node;

        public static async Task<Fixture> OpenAsync(JsonObject options)
        {
            WatchedFile? file = null;
            var files = new FileFixture(new FileDriver((name, access, _) => file = new WatchedFile(name, access)));
            var fixture = new Fixture(files);
            fixture.Disk = await files.OpenAsync(files.Directory.File("disk", 1 << 20), new NodeSettings(), options);
            fixture.File = file!;
            return fixture;
        }

        public ValueTask DisposeAsync() => _files.DisposeAsync();
    }
}
