using System.Buffers.Binary;
using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Tests.Cli;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

/// <summary><c>amend</c> of qcow2 images: what the guest sees stays, and the reference finds nothing wrong.</summary>
public sealed class Qcow2AmendTests : IDisposable
{
    private readonly ImgFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("", "refcount_bits=1"), InlineData("", "refcount_bits=64"), InlineData("refcount_bits=1,cluster_size=512", "refcount_bits=64")]
    [InlineData("cluster_size=512", "refcount_bits=8"), InlineData("refcount_bits=64,cluster_size=512", "refcount_bits=2")]
    [InlineData("compat=0.10", "compat=1.1"), InlineData("compat=0.10", "compat=1.1,lazy_refcounts=on,refcount_bits=32"), InlineData("", "compat=0.10")]
    [InlineData("cluster_size=512", "compat=0.10"), InlineData("lazy_refcounts=on", "lazy_refcounts=off"), InlineData("refcount_bits=64", "compat=0.10,refcount_bits=16")]
    [InlineData("compat=0.10,cluster_size=512", "compat=1.1"), InlineData("", "compat=0.10,size=16M"), InlineData("", "size=32M,lazy_refcounts=on")]
    public async Task Content_stays_and_the_image_checks_clean(string create, string amend)
    {
        await CreateAsync(create);
        byte[] before = await ReadAsync();
        await AmendAsync(amend);

        byte[] after = await ReadAsync();
        Assert.Equal(before.Length, before.AsSpan().CommonPrefixLength(after));
        Assert.True(after.AsSpan(before.Length).IndexOfAnyExcept((byte)0) < 0);
        ReferenceTool.Run("qemu-img", "check", _folder["a"]);
        string info = ReferenceTool.Run("qemu-img", "info", _folder["a"]);
        foreach (string option in amend.Split(','))
        {
            Assert.Contains(option.Split('=') switch
            {
                ["compat", var level] => $"compat: {level}",
                ["refcount_bits", var bits] => $"refcount bits: {bits}",
                ["lazy_refcounts", var value] => $"lazy refcounts: {(value == "on" ? "true" : "false")}",
                [_, var size] => $"virtual size: {size[..^1]} MiB",
                _ => throw new InvalidOperationException(),
            }, info);
        }
    }

    [Theory]
    [InlineData(false), InlineData(true)]
    public async Task A_downgrade_keeps_zeros_of_the_disk_and_of_snapshots(bool hasBacking)
    {
        string backing = _folder.Raw("base", 8.MiB, (0, 0x11), (1.MiB, 0x22), (4.MiB, 0x33));
        string[] more = hasBacking ? ["-b", backing, "-F", "raw"] : [];
        ReferenceTool.Run("qemu-img", ["create", "-q", "-f", "qcow2", .. more, _folder["a"], "8M"]);
        Io("write -P 1 128k 64k", "write -z 0 256k", "write -z 1M 64k", "write -P 5 2M 128k", "write -zu 4M 64k");
        ReferenceTool.Run("qemu-img", "snapshot", "-c", "first", _folder["a"]);
        ReferenceTool.Run("qemu-img", "snapshot", "-c", "second", _folder["a"]);
        byte[] first = await ReadAsync();
        Io("write -P 7 0 64k", "write -z 2M 64k", "write -P 8 4M 64k");
        byte[] active = await ReadAsync();

        await AmendAsync("compat=0.10");
        ReferenceTool.Run("qemu-img", "check", _folder["a"]);
        Assert.Equal(active, await ReadAsync());
        foreach (string name in new[] { "first", "second" })
        {
            ReferenceTool.Run("qemu-img", "snapshot", "-a", name, _folder["a"]);
            ReferenceTool.Run("qemu-img", "check", _folder["a"]);
            Assert.Equal(first, await ReadAsync());
        }
    }

    /// <summary>An image that is opened without the backing file it names: what is zero must not show that file's data tomorrow.</summary>
    [Fact]
    public async Task A_downgrade_keeps_zeros_while_the_backing_file_is_left_out()
    {
        await using var fixture = new Qcow2Fixture();
        string bottom = fixture.CreateByReference("base.qcow2", "1M");
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 1M", bottom);
        string path = fixture.CreateByReference("top.qcow2", "1M", backing: bottom);
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -z 0 256k", path);
        ReferenceTool.Run("qemu-img", "snapshot", "-c", "zero", path);
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -z 256k 256k", "-c", "write -P 1 0 64k", path);
        BlockBackend disk = await fixture.OpenAsync(path, options: new JsonObject { ["backing"] = null });
        await Qcow2Fixture.ImageOf(disk).AmendAsync(new AmendRequest(new JsonObject { ["compat"] = "0.10" }), default);
        await fixture.CloseAsync(disk);

        Qcow2Fixture.AssertClean(path);
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "read -P 1 0 64k", "-c", "read -P 0 64k 448k", "-c", "read -P 7 512k 512k", path);
        ReferenceTool.Run("qemu-img", "snapshot", "-a", "zero", path);
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "read -P 0 0 256k", "-c", "read -P 7 256k 768k", path);
    }

    [Fact]
    public async Task A_zero_cluster_that_shares_its_place_with_a_snapshot_s_data_does_not_harm_it()
    {
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", _folder["a"], "1M");
        Io("write -P 5 0 64k");
        ReferenceTool.Run("qemu-img", "snapshot", "-c", "data", _folder["a"]);
        Io("write -z 0 64k");
        ReferenceTool.Run("qemu-img", "snapshot", "-c", "zero", _folder["a"]);
        await AmendAsync("compat=0.10");
        ReferenceTool.Run("qemu-img", "check", _folder["a"]);
        ReferenceTool.Run("qemu-img", "snapshot", "-a", "data", _folder["a"]);
        Assert.Equal(5, (await ReadAsync())[0]);
        ReferenceTool.Run("qemu-img", "snapshot", "-a", "zero", _folder["a"]);
        Assert.Equal(0, (await ReadAsync())[0]);
    }

    [Theory]
    [InlineData("compat=0.10", "lazy_refcounts=on", "Lazy refcounts only supported with compatibility level 1.1 and above (use compat=1.1 or greater)")]
    [InlineData("", "compat=0.10,lazy_refcounts=on", "Lazy refcounts only supported with compatibility level 1.1 and above (use compat=1.1 or greater)")]
    [InlineData("", "compat=0.42", "Unknown compatibility level 0.42")]
    [InlineData("", "foo=bar", "Invalid parameter 'foo'")]
    [InlineData("", "cluster_size=1k", "Invalid parameter 'cluster_size'\nThis option is only supported for image creation")]
    [InlineData("", "encryption=on", "Invalid parameter 'encryption'\nThis option is only supported for image creation")]
    [InlineData("", "refcount_bits=7", "Refcount width must be a power of two and may not exceed 64 bits")]
    [InlineData("compat=0.10", "refcount_bits=8", "Refcount widths other than 16 bits require compatibility level 1.1 or above (use compat=1.1 or greater)")]
    [InlineData("refcount_bits=64", "compat=0.10", "compat=0.10 requires refcount_bits=16")]
    [InlineData("", "backing_file=x", "Cannot amend the backing file\nYou can use 'qemu-img rebase' instead.")]
    [InlineData("", "data_file=x", "data-file can only be set for images that use an external data file")]
    [InlineData("", "data_file_raw=on", "data-file-raw cannot be set on existing images")]
    [InlineData("", "encrypt.state=active", "Can't amend encryption options - encryption not present")]
    [InlineData("extended_l2=on", "compat=0.10", "Cannot downgrade an image with incompatible features 0x10 set")]
    public async Task What_cannot_be_is_refused_in_the_reference_s_words(string create, string amend, string message)
    {
        string[] options = create.Length == 0 ? [] : ["-o", create];
        ReferenceTool.Run("qemu-img", ["create", "-q", "-f", "qcow2", .. options, _folder["a"], "1M"]);
        ToolRun run = await ToolRun.ImgAsync("amend", "-o", amend, _folder["a"]);
        Assert.Equal((1, $"qemu-img: {message}\n"), (run.ExitCode, run.Error));
        ReferenceTool.Run("qemu-img", "check", _folder["a"]);
    }

    [Fact]
    public async Task Other_formats_say_that_they_cannot()
    {
        ToolRun run = await ToolRun.ImgAsync("amend", "-f", "raw", "-o", "size=1M", _folder.Raw("raw", 1.MiB));
        Assert.Equal((1, "qemu-img: Format driver 'raw' does not support option amendment\n"), (run.ExitCode, run.Error));
    }

    [Fact]
    public async Task Refcounts_that_would_not_fit_are_refused_and_nothing_changes()
    {
        await CreateAsync("");
        ReferenceTool.Run("qemu-img", "snapshot", "-c", "s", _folder["a"]);
        ToolRun run = await ToolRun.ImgAsync("amend", "-o", "refcount_bits=1", _folder["a"]);
        Assert.Equal(1, run.ExitCode);
        Assert.StartsWith("qemu-img: Cannot decrease refcount entry width to 1 bits: Cluster at offset 0x", run.Error);
        Assert.EndsWith(" has a refcount of 2\n", run.Error);
        ReferenceTool.Run("qemu-img", "check", _folder["a"]);
    }

    /// <summary>A snapshot that cannot be read stops a downgrade before it begins: the image opens for writing as it did.</summary>
    [Fact]
    public async Task A_downgrade_that_a_broken_snapshot_prevents_leaves_no_trace()
    {
        await CreateAsync("");
        ReferenceTool.Run("qemu-img", "snapshot", "-c", "s", _folder["a"]);
        byte[] image = await File.ReadAllBytesAsync(_folder["a"], TestContext.Current.CancellationToken);
        int table = (int)BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(64));
        BinaryPrimitives.WriteUInt64BigEndian(image.AsSpan(table), 0x400200);
        await File.WriteAllBytesAsync(_folder["a"], image, TestContext.Current.CancellationToken);

        ToolRun run = await ToolRun.ImgAsync("amend", "-o", "compat=0.10", _folder["a"]);
        Assert.Equal((1, "qemu-img: Snapshot L1 table offset invalid\n"), (run.ExitCode, run.Error));
        Assert.Equal(image, await File.ReadAllBytesAsync(_folder["a"], TestContext.Current.CancellationToken));
        Io("write -P 9 0 64k");
    }

    [Fact]
    public async Task Unknown_extensions_and_the_backing_name_survive_both_ways()
    {
        string backing = _folder.Raw("base", 1.MiB, (0, 0x11));
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "compat=0.10", "-b", backing, "-F", "raw", _folder["a"], "1M");
        foreach (string level in new[] { "1.1", "0.10", "1.1" })
        {
            await AmendAsync("compat=" + level);
            string info = ReferenceTool.Run("qemu-img", "info", _folder["a"]);
            Assert.Contains($"compat: {level}\n", info);
            Assert.Contains($"backing file: {backing}\n", info);
            Assert.Contains("backing file format: raw\n", info);
            Assert.Equal(0x11, (await ReadAsync())[0]);
        }
    }

    /// <summary>Every failing request of the file leaves an image that opens and shows what it showed.</summary>
    [Theory]
    [InlineData("""{"refcount-bits": 16}""", "refcount_bits", "64"), InlineData("""{"version": "v2"}""", "compat", "1.1"), InlineData("{}", "compat", "0.10")]
    public async Task A_failure_at_any_request_leaves_the_content(string create, string option, string value)
    {
        for (int failAt = 1; failAt < 200; failAt++)
        {
            await using MemoryImage image = await MemoryImage.CreateAsync(1 << 20, create);
            byte[] data = new byte[70000];
            new Random(failAt).NextBytes(data);
            bool isDone = false;
            await using (OpenedImage opened = await image.OpenAsync())
            {
                await opened.Backend.WriteAsync(100_000, data);
                if (opened.Node.Header.Version == 3) await opened.Backend.WriteZeroesAsync(0, 65536);
                await opened.Backend.FlushAsync();
                int count = 0, limit = failAt;
                foreach (MemoryNode node in image.Memory.OpenNodes)
                {
                    node.OnRequest = (_, _, _) => Interlocked.Increment(ref count) == limit ? throw BlockException.FromErrno(Errno.EIO) : default;
                }

                try
                {
                    await opened.Node.AmendAsync(new AmendRequest(new JsonObject { [option] = value }), default);
                    isDone = count < failAt;
                }
                catch (BlockException)
                {
                    // what is left is looked at below
                }

                foreach (MemoryNode node in image.Memory.OpenNodes) node.OnRequest = null;
            }

            await using (OpenedImage again = await image.OpenAsync(readOnly: true))
            {
                byte[] found = new byte[data.Length];
                await again.Backend.ReadAsync(100_000, found);
                Assert.True(found.AsSpan().SequenceEqual(data), $"failure {failAt}");
            }

            (CheckResult check, List<string> lines) = await image.CheckAsync();
            Assert.True(check.Corruptions == 0, $"failure {failAt}: {string.Join('\n', lines)}");
            if (isDone) return;
        }

        Assert.Fail("it never ended");
    }

    private async Task CreateAsync(string options)
    {
        string[] more = options.Length == 0 ? [] : ["-o", options];
        ReferenceTool.Run("qemu-img", ["create", "-q", "-f", "qcow2", .. more, _folder["a"], "8M"]);
        bool hasZeroes = !options.Contains("compat=0.10", StringComparison.Ordinal);
        Io(["write -P 1 0 300k", "write -P 2 1M 64k", "write -P 3 5000000 5000", .. hasZeroes ? ["write -z 64k 64k", "write -z 2M 1M"] : Array.Empty<string>()]);
        await Task.CompletedTask;
    }

    private void Io(params string[] commands)
        => ReferenceTool.Run("qemu-io", [.. commands.SelectMany(c => new[] { "-c", c }), "-f", "qcow2", _folder["a"]]);

    private async Task AmendAsync(string options)
    {
        ToolRun run = await ToolRun.ImgAsync("amend", "-o", options, _folder["a"]);
        Assert.True(run.ExitCode == 0, run.Error);
    }

    private async Task<byte[]> ReadAsync()
    {
        ReferenceTool.Run("qemu-img", "convert", "-O", "raw", _folder["a"], _folder["raw-copy"]);
        return await File.ReadAllBytesAsync(_folder["raw-copy"], TestContext.Current.CancellationToken);
    }
}
