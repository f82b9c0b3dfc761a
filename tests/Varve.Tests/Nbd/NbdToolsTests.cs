using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Nbd.Server;
using Varve.Tests.Support;

namespace Varve.Tests.Nbd;

/// <summary>Real clients against our server, with what they read and wrote compared.</summary>
public class NbdToolsTests
{
    private const int Size = 24 << 20;

    [Fact]
    public async Task Nbdinfo_shows_what_the_export_offers()
    {
        Tool.Need("nbdinfo");
        await using NbdTestServer server = await RawAsync();
        string info = await RunAsync("nbdinfo", server.Uri());
        foreach (string expected in (string[])[
            "protocol: newstyle-fixed without TLS, using structured packets", $"export-size: {Size}", "base:allocation", "qemu:allocation-depth",
            "is_read_only: false", "can_cache: true", "can_df: true", "can_fast_zero: true", "can_flush: true", "can_fua: true",
            "can_multi_conn: true", "can_trim: true", "can_zero: true", "block_size_minimum: 1", "block_size_preferred: 4096",
            "block_size_maximum: 33554432"])
        {
            Assert.Contains(expected, info, StringComparison.Ordinal);
        }

        Assert.Contains($"export=\"disk\":", await RunAsync("nbdinfo", "--list", $"nbd+unix://?socket={server.SocketPath}"), StringComparison.Ordinal);
        (int exitCode, string text) = await TryAsync("nbdinfo", server.Uri("nobody"));
        Assert.NotEqual(0, exitCode);
        Assert.Contains("for export: nobody", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_map_of_a_sparse_image_is_the_one_the_reference_serves()
    {
        Tool.Need("nbdinfo");
        Tool.Need("qemu-nbd");
        await using NbdTestServer server = await RawAsync();
        string ours = await RunAsync("nbdinfo", "--map", server.Uri());

        string socket = server.PathOf("reference");
        using System.Diagnostics.Process reference = Tool.Start("qemu-nbd", "-r", "-t", "-f", "raw", "-x", "disk", "-k", socket, server.PathOf("image"));
        try
        {
            await Patience.UntilExistsAsync(socket);
            Assert.Equal(await RunAsync("nbdinfo", "--map", $"nbd+unix:///disk?socket={socket}"), ours);
        }
        finally
        {
            reference.Kill();
        }

        Assert.Equal(3, ours.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);   // data, hole, data
    }

    [Fact]
    public async Task Nbdcopy_copies_both_ways()
    {
        Tool.Need("nbdcopy");
        await using NbdTestServer server = await RawAsync();
        await RunAsync("nbdcopy", server.Uri(), server.PathOf("copy"));
        Assert.True(File.ReadAllBytes(server.PathOf("copy")).AsSpan().SequenceEqual(File.ReadAllBytes(server.PathOf("image"))));

        byte[] other = RandomBytes(Size, seed: 2);
        await File.WriteAllBytesAsync(server.PathOf("other"), other, TestContext.Current.CancellationToken);
        await RunAsync("nbdcopy", "--flush", server.PathOf("other"), server.Uri());
        Assert.True(File.ReadAllBytes(server.PathOf("image")).AsSpan().SequenceEqual(other));
    }

    [Fact]
    public async Task The_references_qemu_img_converts_both_ways()
    {
        Tool.Need("qemu-img");
        await using NbdTestServer server = await RawAsync();
        await RunAsync("qemu-img", "convert", "-f", "raw", "-O", "qcow2", server.Uri(), server.PathOf("copy.qcow2"));
        Assert.Contains("identical", await RunAsync("qemu-img", "compare", "-f", "raw", "-F", "qcow2", server.Uri(), server.PathOf("copy.qcow2")), StringComparison.Ordinal);

        byte[] other = RandomBytes(Size, seed: 3);
        other.AsSpan(1 << 20, 4 << 20).Clear();
        await File.WriteAllBytesAsync(server.PathOf("other"), other, TestContext.Current.CancellationToken);
        await RunAsync("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", server.PathOf("other"), server.Uri());
        Assert.True(File.ReadAllBytes(server.PathOf("image")).AsSpan().SequenceEqual(other));
    }

    [Fact]
    public async Task The_references_qemu_io_writes_zeroes_discards_and_reads_back()
    {
        Tool.Need("qemu-io");
        await using NbdTestServer server = await RawAsync();
        string output = await RunAsync(
            "qemu-io", "-f", "raw", "-c", "write -P 0x5a 1000 300000", "-c", "read -P 0x5a 1000 300000", "-c", "write -z 4096 65536", "-c", "read -P 0 4096 65536",
            "-c", "write -zu 131072 65536", "-c", "read -P 0 131072 65536", "-c", "write -f -P 7 0 512", "-c", "discard 1M 1M", "-c", "flush", "-c", "read -P 7 0 512",
            server.Uri());
        Assert.DoesNotContain("fail", output, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("verification", output, StringComparison.Ordinal);
        (_, output) = await TryAsync("qemu-io", "-f", "raw", "-c", "read 0 512", server.Uri("nobody"));
        Assert.Contains("Requested export not available\nserver reported: export 'nobody' not present", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("randwrite", "4k", 1)]
    [InlineData("randwrite", "512-64k", 1)]
    [InlineData("randwrite", "4k", 3)]
    [InlineData("write", "1M", 1)]
    public async Task Fio_reads_back_what_it_wrote_at_depth_32(string pattern, string blockSize, int jobs)
    {
        Tool.Need("fio");
        await using NbdTestServer server = await RawAsync();
        int share = (Size / jobs) & ~0xFFFFF;
        string output = await RunAsync(
            "fio", "--name=verify", "--ioengine=nbd", $"--uri={server.Uri()}", $"--rw={pattern}", $"--bs={blockSize}", "--iodepth=32", $"--numjobs={jobs}",
            $"--size={share}", $"--offset_increment={share}", "--verify=crc32c", "--verify_fatal=1", "--verify_backlog=200");
        Assert.Contains("err= 0", output, StringComparison.Ordinal);
    }

    /// <summary>A server over a raw file with data at its ends and a hole between.</summary>
    private static async Task<NbdTestServer> RawAsync()
    {
        string image = Path.Combine(Path.GetTempPath(), $"varve-nbd-{Guid.NewGuid():N}");
        using (FileStream file = File.Create(image))
        {
            file.Write(RandomBytes(8 << 20, seed: 1));
            file.SetLength(Size);
            file.Position = 20 << 20;
            file.Write(RandomBytes(4 << 20, seed: 4));
        }

        NbdTestServer server = await NbdTestServer.StartAsync(new JsonObject { ["driver"] = "null-co", ["node-name"] = "unused", ["size"] = 512L });
        File.Move(image, server.PathOf("image"));
        await server.ControlAsync(async () =>
        {
            var node = await server.Graph.OpenNodeAsync(
                new JsonObject
                {
                    ["driver"] = "raw",
                    ["node-name"] = "disk",
                    ["file"] = new JsonObject { ["driver"] = "file", ["filename"] = server.PathOf("image") },
                },
                new OpenContext { References = ReferencePolicy.Everything });
            await server.Exports.AddAsync(new NbdExportOptions { Id = "export", Node = node, Writable = true, AllocationDepth = true });
        });
        return server;
    }

    private static byte[] RandomBytes(int length, int seed)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static async Task<(int ExitCode, string Output)> TryAsync(string name, params string[] arguments)
    {
        Tool.Result result = await Tool.RunAsync(name, arguments);
        return (result.ExitCode, result.Output + result.Error);
    }

    private static async Task<string> RunAsync(string name, params string[] arguments)
    {
        (int exitCode, string output) = await TryAsync(name, arguments);
        Assert.True(exitCode == 0, $"{name} exited with {exitCode}: {output}");
        return output;
    }
}
