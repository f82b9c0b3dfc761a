using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

public sealed class Qcow2ReadTests
{
    public static TheoryData<int, string> ClusterSizes()
    {
        var data = new TheoryData<int, string>();
        for (int bits = 9; bits <= 21; bits++) data.Add(1 << bits, "1.1");
        data.Add(65536, "0.10");
        return data;
    }

    [Theory]
    [MemberData(nameof(ClusterSizes))]
    public async Task An_image_the_reference_wrote_reads_the_same(int clusterSize, string compat)
    {
        await using var fixture = new Qcow2Fixture();
        string path = fixture.CreateByReference("a.qcow2", "9M", $"cluster_size={clusterSize},compat={compat}");
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 64k", "-c", "write -P 2 1000k 100k", "-c", "write -P 3 9215k 1k", path);
        byte[] expected = new byte[9 << 20];
        expected.AsSpan(0, 64 << 10).Fill(1);
        expected.AsSpan(1000 << 10, 100 << 10).Fill(2);
        expected.AsSpan(9215 << 10, 1 << 10).Fill(3);

        BlockBackend disk = await fixture.OpenAsync(path, readOnly: true);
        byte[] actual = new byte[9 << 20];
        await disk.ReadAsync(0, actual);
        Assert.Equal(expected, actual);
    }

    [Theory]
    [InlineData("zlib", 65536)]
    [InlineData("zlib", 512)]
    [InlineData("zlib", 2097152)]
    [InlineData("zstd", 65536)]
    [InlineData("zstd", 4096)]
    public async Task Compressed_clusters_read_the_same(string type, int clusterSize)
    {
        await using var fixture = new Qcow2Fixture();
        byte[] expected = new byte[6 << 20];
        var random = new Random(42);
        for (int i = 0; i < expected.Length; i++) expected[i] = (byte)(random.Next(8) == 0 ? random.Next(256) : i >> 12);
        random.NextBytes(expected.AsSpan(3 << 20, 300_000));   // does not compress
        string raw = fixture.Directory["a.raw"], path = fixture.Directory["a.qcow2"];
        await File.WriteAllBytesAsync(raw, expected, TestContext.Current.CancellationToken);
        ReferenceTool.Run(
            "qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", $"cluster_size={clusterSize},compression_type={type}", raw, path);

        BlockBackend disk = await fixture.OpenAsync(path, readOnly: true);
        byte[] actual = new byte[expected.Length];
        await disk.ReadAsync(0, actual);
        Assert.Equal(expected, actual);
        await disk.ReadAsync(1_000_001, actual.AsMemory(0, 77_777));
        Assert.Equal(expected.AsSpan(1_000_001, 77_777), actual.AsSpan(0, 77_777));
    }

    [Fact]
    public async Task A_backing_image_shows_through_and_ends_in_zeros()
    {
        await using var fixture = new Qcow2Fixture();
        string bottom = fixture.CreateByReference("base.qcow2", "1M");
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 1M", bottom);
        string path = fixture.CreateByReference("top.qcow2", "2M", backing: bottom);
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -P 8 64k 64k", "-c", "write -z 128k 64k", path);
        byte[] expected = new byte[2 << 20];
        expected.AsSpan(0, 1 << 20).Fill(7);
        expected.AsSpan(64 << 10, 64 << 10).Fill(8);
        expected.AsSpan(128 << 10, 64 << 10).Clear();

        BlockBackend disk = await fixture.OpenAsync(path, readOnly: true);
        byte[] actual = new byte[2 << 20];
        await disk.ReadAsync(0, actual);
        Assert.Equal(expected, actual);
    }
}
