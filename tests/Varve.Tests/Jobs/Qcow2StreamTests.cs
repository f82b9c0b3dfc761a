using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Jobs;
using Varve.Tests.Support;

namespace Varve.Tests.Jobs;

/// <summary>Streams over real images: made, looked at and checked by the reference's tools.</summary>
public sealed class Qcow2StreamTests : IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>base (raw) &lt;- mid &lt;- top (qcow2), with names relative to their directory.</summary>
    private async Task<(JobFixture Fixture, BlockBackend Guest)> OpenAsync(Func<JsonObject, JsonObject>? wrapFile = null)
    {
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "raw", _folder["base.img"], "4M");
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.img", "-F", "raw", _folder["mid.img"]);
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "mid.img", "-F", "qcow2", _folder["top.img"]);
        ReferenceTool.Run("qemu-io", "-f", "raw", "-c", "write -P 1 0 3M", _folder["base.img"]);
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -P 2 1M 1M", "-c", "write -z 2M 256k", _folder["mid.img"]);
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -P 3 1536k 4k", _folder["top.img"]);

        var fixture = new JobFixture();
        var file = new JsonObject { ["driver"] = "file", ["filename"] = _folder["top.img"] };
        await fixture.OpenAsync(
            new JsonObject { ["driver"] = "qcow2", ["node-name"] = "top", ["discard"] = "unmap", ["file"] = wrapFile?.Invoke(file) ?? file });
        return (fixture, await fixture.OpenGuestAsync("top"));
    }

    private JsonObject Info()
        => (JsonObject)JsonNode.Parse(ReferenceTool.Run("qemu-img", "info", "-U", "--output=json", _folder["top.img"]))!;

    private static async Task<BlockJob> RunAsync(JobFixture fixture, StreamOptions options)
    {
        BlockJob job = await fixture.StreamAsync(options);
        await job.EndAsync();
        return job;
    }

    private async Task<byte[]> ReadTopAgainAsync()
    {
        ReferenceTool.Run("qemu-img", "check", _folder["top.img"]);
        ReferenceTool.Run("qemu-img", "convert", "-O", "raw", _folder["top.img"], _folder["copy.img"]);
        return await File.ReadAllBytesAsync(_folder["copy.img"]);
    }

    [Fact]
    public async Task A_full_stream_leaves_an_image_that_needs_no_backing_file()
    {
        (JobFixture fixture, BlockBackend guest) = await OpenAsync();
        byte[] before = await StreamTests.ReadAllAsync(guest);
        await using (fixture)
        {
            BlockJob job = await RunAsync(fixture, new StreamOptions("top"));
            Assert.Null(job.Error);
            Assert.Equal(before, await StreamTests.ReadAllAsync(guest));
        }

        Assert.False(Info().ContainsKey("backing-filename"));
        Assert.Equal(before, await ReadTopAgainAsync());
    }

    [Theory]
    [InlineData("base.img", "base.img")]
    [InlineData(null, null)]
    public async Task A_partial_stream_records_the_name_of_the_base(string? given, string? recorded)
    {
        (JobFixture fixture, BlockBackend guest) = await OpenAsync();
        byte[] before = await StreamTests.ReadAllAsync(guest);
        await using (fixture)
        {
            BlockJob job = await RunAsync(fixture, new StreamOptions("top") { Base = "base.img", BackingFile = given });
            Assert.Null(job.Error);
            Assert.Equal(before, await StreamTests.ReadAllAsync(guest));
            Assert.DoesNotContain(fixture.Graph.Nodes, n => n.Filename.EndsWith("mid.img", StringComparison.Ordinal));
        }

        JsonObject info = Info();
        Assert.Equal(recorded ?? _folder["base.img"], (string?)info["backing-filename"]);
        Assert.Equal("raw", (string?)info["backing-filename-format"]);
        Assert.Equal(before, await ReadTopAgainAsync());
    }

    [Theory]
    [InlineData(5, "Input/output error")]
    [InlineData(28, "No space left on device")]
    public async Task A_disk_that_refuses_the_header_keeps_header_and_chain(int errno, string text)
    {
        (JobFixture fixture, BlockBackend guest) = await OpenAsync(file => new JsonObject
        {
            ["driver"] = "blkdebug",
            ["image"] = file,
            ["inject-error"] = new JsonArray(new JsonObject { ["event"] = "none", ["iotype"] = "write", ["sector"] = 0, ["errno"] = errno }),
        });
        byte[] before = await StreamTests.ReadAllAsync(guest);
        byte[] header = (await File.ReadAllBytesAsync(_folder["top.img"], TestContext.Current.CancellationToken))[..65536];
        await using (fixture)
        {
            BlockJob job = await RunAsync(fixture, new StreamOptions("top") { Base = "base.img", BackingFile = "base.img" });
            Assert.Equal(text, job.Error);
            Assert.EndsWith("mid.img", fixture.Graph.FindNode("top")!.BackingChild!.Node.Filename, StringComparison.Ordinal);
            Assert.Equal(before, await StreamTests.ReadAllAsync(guest));
            Assert.Equal(header, (await File.ReadAllBytesAsync(_folder["top.img"], TestContext.Current.CancellationToken))[..65536]);
        }

        Assert.Equal("mid.img", (string?)Info()["backing-filename"]);
        Assert.Equal(before, await ReadTopAgainAsync());
    }

    [Theory]
    [InlineData(1023, null)]
    [InlineData(1024, "Invalid argument")]
    public async Task A_name_may_have_1023_bytes(int length, string? error)
    {
        (JobFixture fixture, _) = await OpenAsync();
        string name = new('x', length);
        await using (fixture)
        {
            BlockJob job = await RunAsync(fixture, new StreamOptions("top") { Base = "base.img", BackingFile = name });
            Assert.Equal(error, job.Error);
        }

        Assert.Equal(error is null ? name : "mid.img", (string?)Info()["backing-filename"]);
    }

    [Theory]
    [InlineData("""{"driver": "raw", "node-name": "base", "file": {"driver": "blkdebug", "image": {"driver": "file", "filename": "BASE"}}}""",
        "blkdebug::BASE", "raw")]
    [InlineData("""{"driver": "raw", "node-name": "base", "file": {"driver": "file", "filename": "BASE"}}""", "BASE", "raw")]
    [InlineData("""{"driver": "raw", "node-name": "base", "offset": 512, "size": 1048576, "file": {"driver": "file", "filename": "BASE"}}""",
        """json:{"offset": 512, "driver": "raw", "size": 1048576, "file": {"driver": "file", "filename": "BASE"}}""", "raw")]
    [InlineData("""{"driver": "null-co", "node-name": "base", "size": 4194304, "read-zeroes": true}""",
        """json:{"read-zeroes": true, "driver": "null-co", "size": 4194304}""", "null-co")]
    public async Task Without_a_name_from_the_caller_the_bases_own_name_is_recorded(string baseNode, string recorded, string format)
    {
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "raw", _folder["base.img"], "4M");
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", _folder["mid.img"], "4M");
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", _folder["top.img"], "4M");
        await using var fixture = new JobFixture();
        await fixture.OpenAsync((JsonObject)JsonNode.Parse(baseNode.Replace("BASE", _folder["base.img"], StringComparison.Ordinal))!);
        foreach ((string name, string backing) in new[] { ("mid", "base"), ("top", "mid") })
        {
            await fixture.OpenAsync(new()
            {
                ["driver"] = "qcow2", ["node-name"] = name, ["backing"] = backing,
                ["file"] = new JsonObject { ["driver"] = "file", ["filename"] = _folder[name + ".img"] },
            });
        }

        BlockJob job = await RunAsync(fixture, new StreamOptions("top") { BaseNode = "base" });
        Assert.Null(job.Error);
        BlockNode top = fixture.Graph.FindNode("top")!;
        Assert.Equal((recorded.Replace("BASE", _folder["base.img"], StringComparison.Ordinal), format), (top.RecordedBackingFile, top.RecordedBackingFormat));
    }

    [Fact]
    public async Task Change_backing_file_rewrites_the_header_alone()
    {
        (JobFixture fixture, BlockBackend guest) = await OpenAsync();
        await using (fixture)
        {
            BlockNode mid = fixture.Graph.FindNode("top")!.BackingChild!.Node;
            await fixture.CommandAsync(() => fixture.Graph.ChangeBackingFileAsync("top", "top", "elsewhere.img").AsTask());
            await fixture.CommandAsync(() => fixture.Graph.ChangeBackingFileAsync("top", mid.NodeName, "deeper.img").AsTask());
            Assert.True(mid.IsReadOnly);
            Assert.Same(mid, fixture.Graph.FindNode("top")!.BackingChild!.Node);
            BlockException tooLong = await Assert.ThrowsAsync<BlockException>(
                () => fixture.CommandAsync(() => fixture.Graph.ChangeBackingFileAsync("top", "top", new string('y', 1024)).AsTask()));
            Assert.Equal($"Could not change backing file to '{new string('y', 1024)}': Invalid argument", tooLong.Message);
        }

        Assert.Equal(("elsewhere.img", "qcow2"), ((string?)Info()["backing-filename"], (string?)Info()["backing-filename-format"]));
        Assert.Contains("deeper.img", ReferenceTool.Run("qemu-img", "info", _folder["mid.img"]), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("nothing", "top", "Cannot find device='nothing' nor node-name='nothing'")]
    [InlineData("mid", "top", "Need a root block node")]
    [InlineData("top", "nothing", "Cannot find device='' nor node-name='nothing'")]
    [InlineData("top", "base", "not allowing backing file change on an image without a backing file")]
    [InlineData("top", "over", "'top' and image file are not in the same chain")]
    public async Task A_change_of_the_backing_file_is_checked_in_the_references_words(string device, string image, string message)
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        await fixture.AddAsync("elsewhere");
        await fixture.AddAsync("over", "elsewhere");
        BlockException refused = await Assert.ThrowsAsync<BlockException>(
            () => fixture.CommandAsync(() => fixture.Graph.ChangeBackingFileAsync(device, image, "x").AsTask()));
        Assert.Equal(message, refused.Message);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task Writers_beside_the_stream_find_what_they_wrote(int seed)
    {
        (JobFixture fixture, BlockBackend guest) = await OpenAsync();
        byte[] model = await StreamTests.ReadAllAsync(guest);
        await using (fixture)
        {
            Task<int>[] writers = [.. Enumerable.Range(0, 4).Select(i => Task.Run(() => StreamUnderWritesTests.WriteAndVerifyAsync(guest, model, i, seed)))];
            BlockJob cancelled = await fixture.StreamAsync(new StreamOptions("top") { JobId = "first", Base = "base.img" });
            if (seed % 2 == 0) await JobFixture.UntilAsync(() => cancelled.CurrentProgress > 0);
            if (!cancelled.Completion.IsCompleted) await fixture.CommandAsync(() => cancelled.Status.Accepts(JobVerb.Cancel) ? cancelled.CancelAsync(force: true).AsTask() : Task.CompletedTask);
            await cancelled.EndAsync();
            BlockJob job = await RunAsync(fixture, new StreamOptions("top"));
            Assert.Null(job.Error);
            await Task.WhenAll(writers);
            Assert.Equal(model, await StreamTests.ReadAllAsync(guest));
        }

        Assert.Equal(model, await ReadTopAgainAsync());
    }
}
