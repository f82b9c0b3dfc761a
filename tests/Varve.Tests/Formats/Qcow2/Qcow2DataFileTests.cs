using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Tests.Cli;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

public sealed class Qcow2DataFileTests : IAsyncDisposable
{
    private readonly Qcow2Fixture _fixture = new();

    public ValueTask DisposeAsync() => _fixture.DisposeAsync();

    private string Path => _fixture.Directory["a.qcow2"];

    private string Data => _fixture.Directory["a.data"];

    [Theory]
    [InlineData(true, "")]
    [InlineData(false, "")]
    [InlineData(true, ",data_file_raw=on")]
    [InlineData(false, ",data_file_raw=on")]
    [InlineData(false, ",cluster_size=512,lazy_refcounts=on")]
    [InlineData(false, ",extended_l2=on")]
    [InlineData(true, ",extended_l2=on,data_file_raw=on")]
    [InlineData(false, ",preallocation=metadata")]
    public async Task Guest_data_lies_in_the_data_file_where_the_guest_sees_it(bool byReference, string options)
    {
        const int size = (4 << 20) + 1536;
        byte[] model = new byte[size];
        await CreateAsync(byReference, options, size);
        bool isRaw = options.Contains("raw", StringComparison.Ordinal);
        for (int round = 0; round < 2; round++)
        {
            BlockBackend disk = await _fixture.OpenAsync(Path);
            await WorkAsync(disk, model, seed: round, discards: !isRaw);
            await AssertReadsAsync(disk, model);
            await _fixture.CloseAsync(disk);
            Qcow2Fixture.AssertClean(Path);
        }

        await AssertSameAsync(model);
        if (isRaw) Assert.Equal(model, (await File.ReadAllBytesAsync(Data, TestContext.Current.CancellationToken))[..size]);
        if (!byReference) Assert.Equal(size, new FileInfo(Data).Length);
        Assert.True(new FileInfo(Path).Length < 1 << 20, "the image holds tables only");
    }

    [Fact]
    public async Task The_file_that_the_caller_names_is_used_instead_of_the_recorded_one()
    {
        await CreateAsync(byReference: true, "", 1 << 20);
        File.Move(Data, Data + ".moved");
        BlockException missing = await Assert.ThrowsAsync<BlockException>(() => _fixture.OpenAsync(Path));
        Assert.Equal($"Could not open '{Data}': No such file or directory", missing.Message);
        BlockBackend disk = await _fixture.OpenAsync(Path, options: new() { ["data-file"] = new JsonObject { ["driver"] = "file", ["filename"] = Data + ".moved" } });
        await disk.WriteAsync(65536, new byte[] { 1, 2, 3 });
        await _fixture.CloseAsync(disk);
        Assert.Equal([1, 2, 3], (await File.ReadAllBytesAsync(Data + ".moved", TestContext.Current.CancellationToken))[65536..65539]);
    }

    [Fact]
    public async Task A_data_file_for_an_image_without_one_is_refused_and_so_is_none_for_one_with()
    {
        _fixture.CreateByReference("plain.qcow2", "1M");
        await File.WriteAllBytesAsync(Data, new byte[512], TestContext.Current.CancellationToken);
        JsonObject options = new() { ["data-file"] = new JsonObject { ["driver"] = "file", ["filename"] = Data } };
        BlockException e = await Assert.ThrowsAsync<BlockException>(() => _fixture.OpenAsync(_fixture.Directory["plain.qcow2"], options: options));
        Assert.Equal("'data-file' can only be set for images with an external data file", e.Message);

        await CreateAsync(byReference: true, "", 1 << 20);
        ReferenceTool.Run("qemu-img", "amend", "-o", "data_file=", Path);
        e = await Assert.ThrowsAsync<BlockException>(() => _fixture.OpenAsync(Path));
        Assert.Equal("'data-file' is required for this image", e.Message);
    }

    [Fact]
    public async Task Without_leave_the_recorded_name_is_not_opened()
    {
        await CreateAsync(byReference: true, "", 1 << 20);
        var options = new JsonObject { ["driver"] = "qcow2", ["file"] = new JsonObject { ["driver"] = "file", ["filename"] = Path } };
        BlockException e = await Assert.ThrowsAsync<BlockException>(async () => await _fixture.Graph.OpenNodeAsync(options, new OpenContext()));
        Assert.Equal(BlockErrorKind.Denied, e.Kind);
        Assert.Contains(Data, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Info_needs_the_data_file_and_inspect_does_not()
    {
        await CreateAsync(byReference: true, "", 1 << 20);
        ToolRun info = await ToolRun.ImgAsync("info", Path);
        Assert.Contains($"    data file: {Data}\n    data file raw: false\n", info.Output, StringComparison.Ordinal);
        File.Delete(Data);
        info = await ToolRun.ImgAsync("info", Path);
        Assert.Equal((1, $"qemu-img: Could not open '{Path}': Could not open '{Data}': No such file or directory\n"), (info.ExitCode, info.Error));
        Assert.Contains(Data, (await ToolRun.InspectAsync(Path)).Output, StringComparison.Ordinal);

        await File.WriteAllBytesAsync(Data, new byte[512], TestContext.Current.CancellationToken);
        ReferenceTool.Run("qemu-img", "amend", "-o", "data_file=", Path);
        Assert.Equal($"qemu-img: Could not open '{Path}': 'data-file' is required for this image\n", (await ToolRun.ImgAsync("info", Path)).Error);
    }

    [Fact]
    public async Task A_flush_makes_guest_data_durable_before_the_tables_that_name_it()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1 << 20);
        image.Memory.Files["data"] = new MemoryBytes([]);
        await image.CreateAsync("image", 1 << 20, """{"data-file": {"driver": "memory", "filename": "data"}}""");
        await using OpenedImage opened = await image.OpenAsync(options: new() { ["data-file"] = new JsonObject { ["driver"] = "memory", ["filename"] = "data" } });
        var order = new List<string>();
        MemoryNode data = image.Memory.OpenNodes.Single(n => ReferenceEquals(n.Bytes, image.Memory.Files["data"]));
        MemoryNode file = image.Memory.OpenNodes.Single(n => !ReferenceEquals(n, data));
        data.OnRequest = (kind, _, _) => Note("data " + kind);
        file.OnRequest = (kind, _, _) => Note("tables " + kind);
        await opened.Backend.WriteAsync(0, new byte[65536]);
        order.Clear();
        await opened.Backend.FlushAsync();
        Assert.True(order.IndexOf("data flush") >= 0 && order.IndexOf("data flush") < order.LastIndexOf("tables write"), string.Join(", ", order));

        ValueTask Note(string what)
        {
            order.Add(what);
            return default;
        }
    }

    /// <summary>Where clusters stay in place: in a data file, or with <c>discard-no-unref</c>.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Zeroing_an_encrypted_disk_keeps_the_data_that_the_old_tables_name(bool hasDataFile)
    {
        string path = Path + ".luks", data = hasDataFile ? Data + ".luks" : path;
        ReferenceTool.Run(
            "qemu-img", "create", "-q", "-f", "qcow2", "--object", "secret,id=s,data=123456", "-o",
            $"{(hasDataFile ? $"data_file={data}," : "")}encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", path, "1M");
        _fixture.Graph.Objects.Add(new JsonObject { ["qom-type"] = "secret", ["id"] = "s", ["data"] = "123456" });
        var encryption = new JsonObject { ["format"] = "luks", ["key-secret"] = "s" };
        BlockBackend disk = await _fixture.OpenAsync(path, options: new() { ["encrypt"] = encryption, ["discard-no-unref"] = !hasDataFile });
        byte[] content = new byte[65536];
        content.AsSpan().Fill(7);
        await disk.WriteAsync(0, content);
        await disk.FlushAsync();
        byte[] before = await ReadSharedAsync(data);
        await disk.WriteZeroesAsync(0, 65536, ZeroFlags.MayUnmap);
        Assert.Equal(before, await ReadSharedAsync(data));
        await _fixture.CloseAsync(disk);
    }

    private static async Task<byte[]> ReadSharedAsync(string path)
    {
        await using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        byte[] bytes = new byte[file.Length];
        await file.ReadExactlyAsync(bytes);
        return bytes;
    }

    [Fact]
    public async Task Metadata_put_over_a_raw_image_shows_that_image()
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(1 << 20);
        byte[] content = new byte[1 << 20];
        new Random(1).NextBytes(content);
        image.Memory.Files["data"] = new MemoryBytes([.. content]);
        await image.CreateAsync("image", 1 << 20, """{"data-file": {"driver": "memory", "filename": "data"}, "data-file-raw": true}""");
        await using OpenedImage opened = await image.OpenAsync(options: new() { ["data-file"] = new JsonObject { ["driver"] = "memory", ["filename"] = "data" } });
        await AssertReadsAsync(opened.Backend, content);

        // What was appended behind its end shows when the disk grows.
        image.Memory.Files["data"].Write(1 << 20, content);
        await opened.Node.ResizeAsync(2 << 20, PreallocationMode.Off, default);
        await AssertReadsAsync(opened.Backend, [.. content, .. content]);
    }

    [Theory]
    [InlineData("")]
    [InlineData(",data_file_raw=on")]
    public async Task The_data_file_is_resized_with_the_disk(string options)
    {
        await CreateAsync(byReference: false, options, 1 << 20);
        Assert.Equal(1 << 20, new FileInfo(Data).Length);
        BlockBackend disk = await _fixture.OpenAsync(Path);
        await disk.WriteAsync(0, Enumerable.Repeat((byte)7, 1 << 20).ToArray());
        await disk.Node.ResizeAsync(3 << 20, PreallocationMode.Off, default);
        await disk.Node.ResizeAsync(512 << 10, PreallocationMode.Off, default);
        await disk.Node.ResizeAsync(2 << 20, PreallocationMode.Full, default);
        byte[] expected = new byte[2 << 20];
        expected.AsSpan(0, 512 << 10).Fill(7);
        await AssertReadsAsync(disk, expected);
        await _fixture.CloseAsync(disk);
        Assert.Equal(2 << 20, new FileInfo(Data).Length);
        Qcow2Fixture.AssertClean(Path);
        await AssertSameAsync(expected);
    }

    [Theory]
    [InlineData("Off")]
    [InlineData("Metadata")]
    [InlineData("Falloc")]
    public async Task What_a_failed_shrink_left_in_the_data_file_does_not_come_back(string preallocation)
    {
        await CreateAsync(byReference: false, "", 1 << 20);
        await File.AppendAllBytesAsync(Data, [.. Enumerable.Repeat((byte)9, 1 << 20)], TestContext.Current.CancellationToken);
        BlockBackend disk = await _fixture.OpenAsync(Path);
        await disk.Node.ResizeAsync(3 << 20, Enum.Parse<PreallocationMode>(preallocation), default);
        await AssertReadsAsync(disk, new byte[3 << 20]);
        await _fixture.CloseAsync(disk);
        Qcow2Fixture.AssertClean(Path);
    }

    [Fact]
    public async Task A_cluster_out_of_place_or_compressed_is_corruption()
    {
        foreach ((string entry, string message) in new[]
        {
            ("8000000000020000", "External data file host cluster offset 0x20000 does not match guest cluster offset: 0x10000, L2 index: 0x1)"),
            ("4000000000020000", "Compressed cluster entry found in image with external data file (L2 offset: 0x40000, L2 index: 0x1)"),
        })
        {
            await CreateAsync(byReference: true, "", 1 << 20);
            ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write 0 128k", Path);
            using (FileStream file = File.OpenWrite(Path))
            {
                file.Position = 0x40008;
                file.Write(Convert.FromHexString(entry));
            }

            BlockBackend disk = await _fixture.OpenAsync(Path);
            var corruptions = new List<string>();
            _fixture.Graph.ImageCorrupted += c => corruptions.Add(c.Message);
            await Assert.ThrowsAsync<BlockException>(async () => await disk.ReadAsync(65536, new byte[512]));
            Assert.Equal([message], corruptions);
            await _fixture.CloseAsync(disk);
        }
    }

    [Theory]
    [InlineData("data_file_raw=on")]
    [InlineData("data_file={0}.data,data_file_raw=on,backing_file={0}.base,backing_fmt=raw")]
    [InlineData("data_file={0}.data,compat=0.10")]
    public async Task What_cannot_be_created_is_refused_in_the_references_words(string options)
    {
        await File.WriteAllBytesAsync(Path + ".base", new byte[65536], TestContext.Current.CancellationToken);
        string[] arguments = ["create", "-q", "-f", "qcow2", "-o", string.Format(null, options, Path), Path, "1M"];
        Assert.Equal(await ToolRun.ReferenceAsync("qemu-img", arguments), await ToolRun.ImgAsync(arguments));
        Assert.False(File.Exists(Path));
    }

    [Theory]
    [InlineData("")]
    [InlineData(",preallocation=metadata")]
    [InlineData(",data_file_raw=on,preallocation=full")]
    public async Task A_new_image_is_the_references_byte_for_byte(string options)
    {
        await CreateAsync(byReference: true, options, 1 << 20);
        byte[] expected = await File.ReadAllBytesAsync(Path, TestContext.Current.CancellationToken);
        await CreateAsync(byReference: false, options, 1 << 20);
        Assert.Equal(expected, await File.ReadAllBytesAsync(Path, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Map_names_the_data_file_and_zeros_keep_their_place()
    {
        await CreateAsync(byReference: true, "", 8 << 20);
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -P 1 1M 4M", "-c", "discard 2M 2M", "-c", "write -z 3M 3M", Path);
        foreach (string output in new[] { "human", "json" })
        {
            string expected = (await ToolRun.ReferenceAsync("qemu-img", "map", "--output", output, Path)).Output;
            Assert.Equal(expected, (await ToolRun.ImgAsync("map", "--output", output, Path)).Output.Replace(", \"compressed\": false", "", StringComparison.Ordinal));
        }
    }

    private async Task CreateAsync(bool byReference, string options, long size)
    {
        string[] arguments = ["create", "-q", "-f", "qcow2", "-o", $"data_file={Data}{options}", Path, $"{size}"];
        ToolRun run = byReference ? await ToolRun.ReferenceAsync("qemu-img", arguments) : await ToolRun.ImgAsync(arguments);
        Assert.Equal(new ToolRun(0, "", ""), run);
    }

    private static async Task WorkAsync(BlockBackend disk, byte[] model, int seed, bool discards)
    {
        var random = new Random(seed);
        for (int step = 0; step < 150; step++)
        {
            int at = random.Next(model.Length), length = Math.Min(random.Next(1, random.Next(3) == 0 ? 500_000 : 9000), model.Length - at);
            switch (random.Next(7))
            {
                case 0 or 1:
                    await disk.WriteZeroesAsync(at, length, random.Next(2) == 0 ? ZeroFlags.MayUnmap : ZeroFlags.None);
                    model.AsSpan(at, length).Clear();
                    break;
                case 2 when discards:
                    await disk.DiscardAsync(at, length);
                    await disk.ReadAsync(at, model.AsMemory(at, length));
                    break;
                case 3:
                    await disk.FlushAsync();
                    break;
                default:
                    random.NextBytes(model.AsSpan(at, length));
                    await disk.WriteAsync(at, model.AsMemory(at, length));
                    break;
            }
        }
    }

    private static async Task AssertReadsAsync(BlockBackend disk, byte[] model)
    {
        byte[] actual = new byte[model.Length];
        await disk.ReadAsync(0, actual);
        Assert.Equal(model.Length, model.AsSpan().CommonPrefixLength(actual));
    }

    private async Task AssertSameAsync(byte[] model)
    {
        string raw = _fixture.Directory["model.raw"];
        await File.WriteAllBytesAsync(raw, model);
        ReferenceTool.Run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, Path);
    }
}
