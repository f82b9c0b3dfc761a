using Varve.Tests.Support;

namespace Varve.Tests.Cli;

/// <summary>A rebase changes what an image holds, and never what it shows, however its pieces lie.</summary>
public sealed class RebaseTests : IDisposable
{
    private const int Size = 24 << 20, Block = 4096;

    private readonly TempDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(1, "old.raw", "new.raw")]
    [InlineData(2, "old.raw", "new.raw", "-c")]
    [InlineData(3, "mid.q", "old.raw")]
    [InlineData(4, "mid.q", "old.raw", "-c")]
    [InlineData(5, "mid.q", "")]
    [InlineData(6, "mid.q", "", "-c")]
    [InlineData(7, "mid.q", "new.raw", "-c")]
    public async Task What_an_image_shows_stays(int seed, string oldBase, string newBase, params string[] options)
    {
        var random = new Random(seed);
        byte[] common = Contents(random, new byte[Size]);
        await File.WriteAllBytesAsync(_directory["old.raw"], Contents(random, common)[..(Size - (300 << 10))], TestContext.Current.CancellationToken);
        await File.WriteAllBytesAsync(_directory["new.raw"], Contents(random, common), TestContext.Current.CancellationToken);
        await CreateAsync(random, "mid.q", "old.raw");
        await CreateAsync(random, "top.q", oldBase);
        byte[] shown = await ShownAsync("top.q");

        string[] format = newBase.Length > 0 ? ["-F", "raw"] : [];
        await RunAsync(["rebase", .. options, "-b", newBase, .. format, "top.q"]);

        Assert.Equal(shown, await ShownAsync("top.q"));
        ToolRun info = await ToolRun.ReferenceAsync("qemu-img", "info", _directory["top.q"]);
        Assert.Equal(newBase.Length > 0, info.Output.Contains($"backing file: {_directory[newBase]}\n", StringComparison.Ordinal));
        Assert.Equal(newBase.Length > 0, info.Output.Contains("backing file:", StringComparison.Ordinal));
        Assert.Equal(0, (await ToolRun.ReferenceAsync("qemu-img", "check", _directory["top.q"])).ExitCode);
    }

    [Fact]
    public async Task A_failure_to_read_leaves_the_image_as_it_was()
    {
        byte[] shown = new byte[Size];
        shown.AsSpan().Fill(7);
        await File.WriteAllBytesAsync(_directory["old.raw"], shown, TestContext.Current.CancellationToken);
        await RunAsync(["create", "-q", "-f", "qcow2", "-b", "old.raw", "-F", "raw", "top.q"]);
        string FileNode(string name) => $"{{\"driver\": \"file\", \"filename\": \"{_directory[name]}\"}}";
        string failing = "json:{\"driver\": \"qcow2\", \"file\": " + FileNode("top.q") + ", \"backing\": {\"driver\": \"raw\", \"file\": {\"driver\": \"blkdebug\","
            + "\"inject-error\": [{\"event\": \"none\", \"iotype\": \"read\", \"sector\": 40000}], \"image\": " + FileNode("old.raw") + "}}}";
        Assert.Equal(new ToolRun(1, "", "qemu-img: error while reading from old backing file\n"), await ToolRun.ImgAsync("rebase", "-b", "", failing));
        Assert.Equal(shown, await ShownAsync("top.q"));
        Assert.Contains("backing file: old.raw", (await ToolRun.ReferenceAsync("qemu-img", "info", _directory["top.q"])).Output, StringComparison.Ordinal);
    }

    /// <summary>Some runs of blocks are replaced by others, by zeros too.</summary>
    private static byte[] Contents(Random random, byte[] before)
    {
        byte[] bytes = [.. before];
        for (int i = 0; i < 12; i++)
        {
            int start = random.Next(Size / Block), count = Math.Min(random.Next(1, 1 << random.Next(1, 10)), (Size / Block) - start);
            bytes.AsSpan(start * Block, count * Block).Fill((byte)random.Next(0, 4));
        }

        return bytes;
    }

    /// <summary>Makes an overlay that holds some runs of blocks itself.</summary>
    private async Task CreateAsync(Random random, string name, string backing)
    {
        await RunAsync(["create", "-q", "-f", "qcow2", "-b", backing, "-F", backing.EndsWith(".q", StringComparison.Ordinal) ? "qcow2" : "raw", name, $"{Size}"]);
        var commands = new List<string>();
        for (int i = 0; i < 8; i++)
        {
            long start = random.Next(Size / Block) * (long)Block, length = Math.Min(random.Next(1, 200) * (long)Block, Size - start);
            commands.AddRange(["-c", random.Next(3) == 0 ? $"write -z {start} {length}" : $"write -P {random.Next(1, 4)} {start} {length}"]);
        }

        Assert.Equal(0, (await ToolRun.ReferenceAsync("qemu-io", [.. commands, _directory[name]])).ExitCode);
    }

    private async Task<byte[]> ShownAsync(string name)
    {
        Assert.Equal(0, (await ToolRun.ReferenceAsync("qemu-img", "convert", "-O", "raw", _directory[name], _directory["shown"])).ExitCode);
        return await File.ReadAllBytesAsync(_directory["shown"], TestContext.Current.CancellationToken);
    }

    /// <summary>Runs our <c>img</c>. The last words that name files of this test become their paths, backing names stay relative.</summary>
    private async Task RunAsync(string[] words)
    {
        int image = Array.FindLastIndex(words, w => w.EndsWith(".q", StringComparison.Ordinal));
        words[image] = _directory[words[image]];
        int backing = Array.IndexOf(words, "-b") + 1;
        if (words[0] == "rebase" && words[backing].Length > 0) words[backing] = _directory[words[backing]];
        Assert.Equal(new ToolRun(0, "", ""), await ToolRun.ImgAsync(words));
    }
}
