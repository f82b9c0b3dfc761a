using System.Text.Json.Nodes;
using Varve.Formats.Qcow2;
using Varve.Graph;
using Varve.Protocols.File;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

public sealed class Qcow2CreateTests : IDisposable
{
    private readonly TempDirectory _folder = new();
    private readonly MemoryDriver _memory = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("", "64M", "{}")]
    [InlineData("", "0", "{}")]
    [InlineData("", "100G", "{}")]
    [InlineData("", "1T", "{}")]
    [InlineData("cluster_size=512", "8M", """{"cluster-size": 512}""")]
    [InlineData("cluster_size=1024", "64M", """{"cluster-size": 1024}""")]
    [InlineData("cluster_size=4096", "64M", """{"cluster-size": 4096}""")]
    [InlineData("cluster_size=2M", "64M", """{"cluster-size": 2097152}""")]
    [InlineData("compat=0.10", "64M", """{"version": "v2"}""")]
    [InlineData("refcount_bits=1", "64M", """{"refcount-bits": 1}""")]
    [InlineData("refcount_bits=2,cluster_size=1024", "64M", """{"refcount-bits": 2, "cluster-size": 1024}""")]
    [InlineData("refcount_bits=64,cluster_size=512", "1M", """{"refcount-bits": 64, "cluster-size": 512}""")]
    [InlineData("lazy_refcounts=on", "64M", """{"lazy-refcounts": true}""")]
    [InlineData("compression_type=zstd", "64M", """{"compression-type": "zstd"}""")]
    [InlineData("preallocation=metadata", "64M", """{"preallocation": "metadata"}""")]
    [InlineData("preallocation=metadata,cluster_size=4096", "3000K", """{"preallocation": "metadata", "cluster-size": 4096}""")]
    [InlineData("backing_file=some/base.img,backing_fmt=raw", "64M", """{"backing-file": "some/base.img", "backing-fmt": "raw"}""")]
    [InlineData("backing_file=b.qcow2,backing_fmt=qcow2,compat=0.10", "64M", """{"backing-file": "b.qcow2", "backing-fmt": "qcow2", "version": "v2"}""")]
    public async Task A_new_image_is_byte_for_byte_the_reference_s(string toolOptions, string size, string options)
    {
        string theirs = _folder["theirs"];
        string[] create = toolOptions.Length == 0 ? ["create", "-q", "-u", "-f", "qcow2"] : ["create", "-q", "-u", "-f", "qcow2", "-o", toolOptions];
        await OutputOfAsync([.. create, theirs, size]);
        long bytes = Bytes(size);
        byte[] ours = await CreateInMemoryAsync(bytes, options);
        Assert.Equal(await File.ReadAllBytesAsync(theirs, TestContext.Current.CancellationToken), ours);
    }

    [Theory]
    [InlineData("""{"preallocation": "falloc"}""", 64)]
    [InlineData("""{"preallocation": "full", "cluster-size": 512}""", 3)]
    [InlineData("""{"preallocation": "metadata", "cluster-size": 512, "refcount-bits": 64}""", 40)]
    [InlineData("""{"preallocation": "metadata", "refcount-bits": 1, "cluster-size": 512}""", 33)]
    [InlineData("""{"cluster-size": 512}""", 128 << 10)]
    public async Task Images_with_many_refcount_blocks_check_clean(string options, int mebibytes)
    {
        string path = _folder["ours"];
        await File.WriteAllBytesAsync(path, await CreateInMemoryAsync(mebibytes.MiB, options), TestContext.Current.CancellationToken);
        Assert.Contains("No errors were found", await OutputOfAsync("check", path));
        Assert.Contains(
            $"({mebibytes.MiB} bytes)", await OutputOfAsync("info", path));
    }

    [Fact]
    public async Task What_the_file_held_before_does_not_show()
    {
        byte[] old = new byte[1 << 20];
        old.AsSpan().Fill(0xEE);
        byte[] image = await CreateInMemoryAsync(256.KiB, """{"preallocation": "metadata"}""", old);
        Assert.DoesNotContain((byte)0xEE, image);
    }

    [Theory]
    [InlineData("""{"size": 1234}""", "Image size must be a multiple of 512 bytes")]
    [InlineData("""{"size": 18446744073709551104}""", "Could not resize image: Image size cannot be negative")]
    [InlineData("""{"size": 9223372036854775808}""", "Could not resize image: Image size cannot be negative")]
    [InlineData("""{"size": 9223372036854775296}""", "Could not resize image: offset(9223372036854775296) exceeds maximum(9223372035781033984)")]
    [InlineData("""{"size": 9223372035781033984}""", "Could not resize image: Failed to grow the L1 table: File too large")]
    [InlineData("""{"size": 281474976710656, "cluster-size": 512}""", "Could not resize image: Failed to grow the L1 table: File too large")]
    [InlineData("""{"size": 1048576, "version": "v2", "lazy-refcounts": true}""", "Lazy refcounts only supported with compatibility level 1.1 and above (use version=v3 or greater)")]
    [InlineData("""{"size": 1048576, "version": "v2", "refcount-bits": 8}""", "Different refcount widths than 16 bits require compatibility level 1.1 or above (use version=v3 or greater)")]
    [InlineData("""{"size": 1048576, "version": "v2", "compression-type": "zstd"}""", "Non-zlib compression type is only supported with compatibility level 1.1 and above (use version=v3 or greater)")]
    [InlineData("""{"size": 1048576, "backing-file": "/dev/null", "preallocation": "full"}""", "Backing file and preallocation can only be used at the same time if extended_l2 is on")]
    [InlineData("""{"size": 1048576, "backing-fmt": "qcow2"}""", "Backing format cannot be used without backing file")]
    [InlineData("""{"size": 1048576, "cluster-size": 1234}""", "Cluster size must be a power of two between 512 and 2048k")]
    [InlineData("""{"size": 1048576, "cluster-size": 4194304}""", "Cluster size must be a power of two between 512 and 2048k")]
    [InlineData("""{"size": 1048576, "cluster-size": 0}""", "Cluster size must be a power of two between 512 and 2048k")]
    [InlineData("""{"size": 1048576, "refcount-bits": 128}""", "Refcount width must be a power of two and may not exceed 64 bits")]
    [InlineData("""{"size": 1048576, "refcount-bits": 0}""", "Refcount width must be a power of two and may not exceed 64 bits")]
    [InlineData("""{"size": 1048576, "extended-l2": true, "cluster-size": 8192}""", "Extended L2 entries are only supported with cluster sizes of at least 16384 bytes")]
    public async Task What_cannot_be_created_is_refused_in_the_reference_s_words_and_the_file_is_left_alone(string options, string message)
    {
        byte[] old = [1, 2, 3];
        var error = await Assert.ThrowsAsync<BlockException>(() => CreateInMemoryAsync(size: null, options, old));
        Assert.Equal(message, error.Message);
        Assert.Equal(old, _memory.Files["f"].ToArray());
    }

    private async Task<byte[]> CreateInMemoryAsync(long? size, string options, byte[]? old = null)
    {
        var driver = new Qcow2Driver();
        await using var graph = new BlockGraph(new BlockDrivers([_memory, driver, new FileDriver()]));
        _memory.Files["f"] = new MemoryBytes(old ?? []);
        JsonObject create = JsonNode.Parse(options)!.AsObject();
        create["file"] = new JsonObject { ["driver"] = "memory", ["filename"] = "f" };
        if (size is not null) create["size"] = size;
        await driver.CreateAsync(graph, create, TestContext.Current.CancellationToken);
        return _memory.Files["f"].ToArray();
    }

    private static long Bytes(string size)
        => long.Parse(size.TrimEnd('K', 'M', 'G', 'T'), System.Globalization.CultureInfo.InvariantCulture)
           << (size[^1] switch { 'K' => 10, 'M' => 20, 'G' => 30, 'T' => 40, _ => 0 });

    /// <summary>What the reference's qemu-img says, on both streams.</summary>
    private static async Task<string> OutputOfAsync(params string[] arguments)
    {
        Tool.Result result = await Tool.RunAsync("qemu-img", arguments);
        return result.Output + result.Error;
    }
}
