using System.Globalization;
using System.Text.Json.Nodes;

namespace Varve.Tests.Cli;

public sealed class ImgTests : IDisposable
{
    private readonly ImgFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>A chain of a raw and a qcow2 image, written by the reference.</summary>
    private async Task<string> ChainAsync()
    {
        _folder.Raw("base.raw", 4.MiB, (0, 1), (1.MiB, 2));
        await Reference("create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", _folder["top.qcow2"], "5M");
        await ToolRun.ReferenceAsync(
            "qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 64k", "-c", "write -z 128k 64k", "-c", "write -P 9 4980736 64k", _folder["top.qcow2"]);
        return _folder["top.qcow2"];
    }

    private static async Task<ToolRun> Reference(params string[] arguments) => await ToolRun.ReferenceAsync("qemu-img", arguments);

    private static async Task SameAsReferenceAsync(params string[] arguments)
    {
        ToolRun expected = await Reference(arguments), actual = await ToolRun.ImgAsync(arguments);
        Assert.Equal(expected, actual);
    }

    [Theory]
    [InlineData("frobnicate")]
    [InlineData("info")]
    [InlineData("info a b")]
    [InlineData("info --output=xml a")]
    [InlineData("info --what")]
    [InlineData("map")]
    [InlineData("map -s x a")]
    [InlineData("check")]
    [InlineData("check -r some a")]
    [InlineData("check -T nothing a")]
    [InlineData("compare a")]
    [InlineData("convert a")]
    [InlineData("convert -m 0 a b")]
    [InlineData("convert -m 17 a b")]
    [InlineData("convert -S 1000 a b")]
    [InlineData("convert -t nothing a b")]
    [InlineData("convert -T nothing a b")]
    [InlineData("convert -C -S 4k a b")]
    [InlineData("convert --target-is-zero a b")]
    [InlineData("convert --target-image-opts a b")]
    [InlineData("convert -n -o size=1M a b")]
    [InlineData("convert --skip-broken-bitmaps a b")]
    [InlineData("convert -B x a b c")]
    [InlineData("info --object foo a")]
    [InlineData("info --object secret,id=s a")]
    [InlineData("info --object secret,id=s,data=x --object secret,id=s,data=x a")]
    [InlineData("--nope")]
    [InlineData("")]
    public async Task Wrong_usage_is_refused_in_the_references_words(string line)
        => await SameAsReferenceAsync(line.Split(' ', StringSplitOptions.RemoveEmptyEntries));

    [Theory]
    [InlineData("info")]
    [InlineData("map")]
    [InlineData("check")]
    [InlineData("compare")]
    public async Task A_missing_image_is_named(string verb)
    {
        string missing = _folder["missing"];
        await SameAsReferenceAsync(verb == "compare" ? [verb, missing, missing] : [verb, missing]);
    }

    [Fact]
    public async Task Info_of_a_chain_says_what_the_reference_says()
    {
        string top = await ChainAsync();
        ToolRun expected = await Reference("info", "--backing-chain", top), actual = await ToolRun.ImgAsync("info", "--backing-chain", top);

        // The reference of 8.2 adds child nodes; the one installed may be older.
        Assert.Equal(WithoutChildren(expected.Output), WithoutChildren(actual.Output));
        Assert.Contains("Child node '/file':\n    filename: ", actual.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Info_as_JSON_has_the_references_values()
    {
        string top = await ChainAsync();
        var expected = (JsonArray)JsonNode.Parse((await Reference("info", "--backing-chain", "--output=json", top)).Output)!;
        var actual = (JsonArray)JsonNode.Parse((await ToolRun.ImgAsync("info", "--backing-chain", "--output=json", top)).Output)!;
        Assert.Equal(expected.Count, actual.Count);
        for (int i = 0; i < expected.Count; i++)
        {
            foreach ((string name, JsonNode? value) in (JsonObject)expected[i]!)
            {
                if (name != "children") Assert.True(JsonNode.DeepEquals(value, actual[i]![name]), $"{name}: {value} and {actual[i]![name]}");
            }
        }
    }

    [Fact]
    public async Task A_chain_that_bites_its_tail_is_reported()
    {
        await Reference("create", "-q", "-f", "qcow2", "-u", "-b", _folder["b.qcow2"], "-F", "qcow2", _folder["a.qcow2"], "1M");
        await Reference("create", "-q", "-f", "qcow2", "-u", "-b", _folder["a.qcow2"], "-F", "qcow2", _folder["b.qcow2"], "1M");
        ToolRun run = await ToolRun.ImgAsync("info", "--backing-chain", _folder["a.qcow2"]);
        Assert.Equal((1, $"qemu-img: Backing file '{_folder["a.qcow2"]}' creates an infinite loop.\n"), (run.ExitCode, run.Error));
    }

    [Theory]
    [InlineData("map")]
    [InlineData("map --output=json")]
    [InlineData("map --output=json -s 1M -l 100k")]
    public async Task The_map_of_a_chain_is_the_references(string line)
    {
        string top = await ChainAsync();
        ToolRun expected = await Reference([.. line.Split(' '), top]), actual = await ToolRun.ImgAsync([.. line.Split(' '), top]);

        // The field is new in 8.2; the reference installed may be older.
        Assert.Equal(Older(expected), Older(actual));

        static ToolRun Older(ToolRun run) => run with { Output = run.Output.Replace(", \"compressed\": false", "", StringComparison.Ordinal) };
    }

    [Fact]
    public async Task The_check_of_a_clean_image_says_what_the_reference_says()
    {
        string top = await ChainAsync();
        await SameAsReferenceAsync("check", top);
        await SameAsReferenceAsync("check", "--output=json", "-f", "raw", _folder["base.raw"]);
    }

    [Fact]
    public async Task Checking_raw_is_status_63()
    {
        ToolRun run = await ToolRun.ImgAsync("check", "-f", "raw", _folder.Raw("a.raw", 1.MiB));
        Assert.Equal((63, "qemu-img: This image format does not support checks\n"), (run.ExitCode, run.Error));
    }

    [Theory]
    [InlineData("a.raw", "a.raw", "")]
    [InlineData("a.raw", "longer.raw", "")]
    [InlineData("a.raw", "longer.raw", "-s")]
    [InlineData("a.raw", "longer-data.raw", "")]
    [InlineData("a.raw", "other.raw", "")]
    [InlineData("a.raw", "other.raw", "-q")]
    [InlineData("a.raw", "less.raw", "-s")]
    [InlineData("a.raw", "missing.raw", "")]
    public async Task Comparing_says_what_the_reference_says(string first, string second, string option)
    {
        _folder.Raw("a.raw", 4.MiB, (0, 1), (2.MiB, 2));
        _folder.Raw("longer.raw", 5.MiB, (0, 1), (2.MiB, 2));
        _folder.Raw("longer-data.raw", 5.MiB, (0, 1), (2.MiB, 2), (4.MiB + 65536, 3));
        _folder.Raw("other.raw", 4.MiB, (0, 1), (2.MiB + 4096, 2));
        _folder.Raw("less.raw", 4.MiB, (0, 1));
        await SameAsReferenceAsync([.. new[] { "compare", "-f", "raw", "-F", "raw", option }.Where(a => a.Length > 0), _folder[first], _folder[second]]);
    }

    /// <summary>Pieces are compared several at a time; what is told is what lies first.</summary>
    [Theory]
    [InlineData(0, 3, "Content mismatch at offset 1835008!\n", 1)]
    [InlineData(4, 3, "qemu-img: Error while reading offset {0} of {1}: Input/output error\n", 4)]
    [InlineData(8, 3, "Content mismatch at offset 1835008!\n", 1)]
    public async Task What_lies_first_is_told_whether_it_differs_or_cannot_be_read(int badPiece, int differentPiece, string message, int status)
    {
        const int Piece = 256 << 10;
        string first = _folder.Raw("a.raw", 8.MiB), second = _folder.Raw("b.raw", 8.MiB);
        byte[] data = new byte[8.MiB];
        new Random(1).NextBytes(data);
        File.WriteAllBytes(first, data);
        for (int i = 2 * differentPiece + 1; i < 16; i++) data[i * Piece] ^= 1;
        File.WriteAllBytes(second, data);
        int bad = badPiece * Piece;
        string broken = badPiece == 0
            ? $"driver=raw,file.driver=file,file.filename={first}"
            : $"driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={first},file.inject-error.0.event=read_aio,file.inject-error.0.sector={bad / 512},file.inject-error.0.iotype=read";
        ToolRun run = await ToolRun.ImgAsync("compare", "--image-opts", broken, $"driver=raw,file.driver=file,file.filename={second}");
        Assert.Equal((status, string.Format(CultureInfo.InvariantCulture, message, bad, broken)), (run.ExitCode, run.Output + run.Error));
    }

    [Theory]
    [InlineData("-O qcow2")]
    [InlineData("-O qcow2 -o cluster_size=4k,compat=0.10 -W -m 16")]
    [InlineData("-O raw")]
    [InlineData("-O raw -S 0")]
    [InlineData("-O raw -S 64k -m 1")]
    [InlineData("-O qcow2 -c")]
    [InlineData("-O qcow2 -c -W -m 16 -o compression_type=zstd,cluster_size=2M")]
    [InlineData("-O qcow2 -c -S 0 -m 1 -o compat=0.10,cluster_size=512")]
    public async Task A_converted_image_is_the_same_to_the_reference(string options)
    {
        string top = await ChainAsync(), copy = _folder["copy"];
        ToolRun run = await ToolRun.ImgAsync(["convert", .. options.Split(' '), top, copy]);
        Assert.Equal(new ToolRun(0, "", ""), run);
        Assert.Equal(new ToolRun(0, "Images are identical.\n", ""), await Reference("compare", top, "-F", options.Split(' ')[1], copy));
        if (options.Contains("qcow2", StringComparison.Ordinal))
        {
            Assert.Equal(0, (await Reference("check", copy)).ExitCode);
        }
    }

    [Fact]
    public async Task Sources_that_end_inside_a_cluster_are_compressed_together()
    {
        string first = _folder.Raw("a.raw", 100 * 1024, (0, 1)), second = _folder.Raw("b.raw", 1.MiB + 512, (0, 2), (1.MiB, 3)), both = _folder["both.qcow2"];
        Assert.Equal(new ToolRun(0, "", ""), await ToolRun.ImgAsync("convert", "-c", "-f", "raw", "-O", "qcow2", first, second, both));
        File.WriteAllBytes(_folder["both.raw"], [.. File.ReadAllBytes(first), .. File.ReadAllBytes(second)]);
        Assert.Equal(0, (await Reference("compare", "-f", "raw", _folder["both.raw"], both)).ExitCode);
        Assert.Equal(0, (await Reference("check", both)).ExitCode);
        Assert.Contains("100.00% compressed clusters", (await Reference("check", both)).Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("-O raw")]
    [InlineData("-O qcow2 -o preallocation=metadata")]
    [InlineData("-O qcow2 -o encryption=on")]
    [InlineData("-O qcow2 -o encrypt.format=luks")]
    public async Task What_cannot_be_compressed_is_refused_in_the_references_words(string options)
        => await SameAsReferenceAsync(["convert", "-c", .. options.Split(' '), await ChainAsync(), _folder["copy"]]);

    [Fact]
    public async Task A_copy_with_a_backing_file_holds_only_what_the_top_held()
    {
        string top = await ChainAsync(), copy = _folder["copy.qcow2"];
        ToolRun run = await ToolRun.ImgAsync("convert", "-O", "qcow2", "-B", "base.raw", "-F", "raw", top, copy);
        Assert.Equal(new ToolRun(0, "", ""), run);
        Assert.Equal(0, (await Reference("compare", top, copy)).ExitCode);
        Assert.Equal((await Reference("map", "--output=json", top)).Output.Split('\n').Length, (await Reference("map", "--output=json", copy)).Output.Split('\n').Length);
    }

    [Fact]
    public async Task Several_sources_are_put_one_behind_the_other()
    {
        string first = _folder.Raw("a.raw", 1.MiB, (0, 1)), second = _folder.Raw("b.raw", 1.MiB + 512, (65536, 2)), both = _folder["both.raw"];
        ToolRun run = await ToolRun.ImgAsync("convert", "-f", "raw", "-O", "raw", "-p", first, second, both);
        Assert.Equal(0, run.ExitCode);
        Assert.EndsWith("    (100.00/100%)\r\n", run.Output, StringComparison.Ordinal);
        Assert.Equal([.. File.ReadAllBytes(first), .. File.ReadAllBytes(second)], File.ReadAllBytes(both));
    }

    [Fact]
    public async Task An_existing_target_keeps_nothing_of_what_it_held()
    {
        string source = _folder.Raw("a.raw", 1.MiB, (65536, 1)), target = _folder.Raw("b.raw", 1.MiB, (0, 9), (65536 * 4, 9));
        Assert.Equal(0, (await ToolRun.ImgAsync("convert", "-n", "-f", "raw", "-O", "raw", source, target)).ExitCode);
        Assert.Equal(File.ReadAllBytes(source), File.ReadAllBytes(target));
    }

    [Fact]
    public async Task A_target_that_is_too_small_is_refused()
    {
        ToolRun run = await ToolRun.ImgAsync(
            "convert", "-n", "-f", "raw", "-O", "raw", _folder.Raw("a.raw", 2.MiB, (0, 1)), _folder.Raw("b.raw", 1.MiB));
        Assert.Equal((1, "qemu-img: output file is smaller than input file\n"), (run.ExitCode, run.Error));
    }

    [Fact]
    public async Task Salvaging_zeroes_what_cannot_be_read_and_says_so()
    {
        string source = _folder.Raw("a.raw", 1.MiB, (0, 1), (65536, 2));
        string options = $"driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={source},file.inject-error.0.event=read_aio,file.inject-error.0.sector=0,file.inject-error.0.iotype=read";
        string copy = _folder["b.raw"];
        ToolRun strict = await ToolRun.ImgAsync("convert", "--image-opts", "-O", "raw", options, copy);
        Assert.Equal((1, "qemu-img: error while reading at byte 0: Input/output error\n"), (strict.ExitCode, strict.Error));

        ToolRun salvaged = await ToolRun.ImgAsync("convert", "--salvage", "--image-opts", "-O", "raw", options, copy);
        Assert.Equal((0, "qemu-img: warning: error while reading offset 0: Input/output error\n"), (salvaged.ExitCode, salvaged.Error));
        byte[] expected = File.ReadAllBytes(source);
        Array.Clear(expected, 0, 512);
        Assert.Equal(expected, File.ReadAllBytes(copy));
    }

    private static string WithoutChildren(string text)
    {
        var kept = new List<string>();
        bool isChild = false;
        foreach (string line in text.Split('\n'))
        {
            isChild = line.StartsWith("Child node ", StringComparison.Ordinal) || (isChild && line.StartsWith("    ", StringComparison.Ordinal));
            if (!isChild) kept.Add(line);
        }

        return string.Join('\n', kept);
    }
}
