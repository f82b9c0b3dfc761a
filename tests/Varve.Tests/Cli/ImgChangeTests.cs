namespace Varve.Tests.Cli;

/// <summary>The verbs that change images, side by side with the reference.</summary>
public sealed class ImgChangeTests : IDisposable
{
    private readonly BothTools _tools = new();

    public void Dispose() => _tools.Dispose();

    private Task ChainAsync() => _tools.PrepareAsync(
        "img create -q -f raw @base.raw 1M",
        "img create -q -f qcow2 -b base.raw -F raw @mid.q",
        "img create -q -f qcow2 -b mid.q -F qcow2 @top.q 2M",
        "io base.raw write -P 7 0 256k",
        "io mid.q write -P 1 64k 64k",
        "io top.q write -P 2 1M 64k");

    [Theory]
    [InlineData("dd")]
    [InlineData("dd if=@a.raw")]
    [InlineData("dd if=@a.raw of=@b foo=1")]
    [InlineData("dd if=@a.raw of=@b foo")]
    [InlineData("dd if=@a.raw of=@b bs=0")]
    [InlineData("dd if=@a.raw of=@b bs=x")]
    [InlineData("dd if=@a.raw of=@b count=x")]
    [InlineData("dd -O foo if=@a.raw of=@b")]
    [InlineData("dd if=@nope of=@b")]
    [InlineData("dd if=@a.raw of=@no/b")]
    [InlineData("dd -p if=@a.raw of=@b")]
    [InlineData("dd if=@a.raw of=foo:b")]
    [InlineData("dd -f raw --image-opts if=@a.raw of=@b")]
    [InlineData("resize")]
    [InlineData("resize @a.raw")]
    [InlineData("resize -f raw @a.raw foo")]
    [InlineData("resize -f raw @a.raw -1k")]
    [InlineData("resize -f raw @a.raw 0")]
    [InlineData("resize -f raw --shrink @a.raw -10M")]
    [InlineData("resize -f raw --preallocation=foo @a.raw +1M")]
    [InlineData("resize -f raw --preallocation=metadata @a.raw +1M")]
    [InlineData("resize -f raw --preallocation=falloc @a.raw 1M")]
    [InlineData("resize -f raw @a.raw 9E")]
    [InlineData("resize -f raw @a.raw 16E")]
    [InlineData("resize @nope 1M")]
    [InlineData("resize a b 1M")]
    [InlineData("resize -f raw --foo @a.raw 1M")]
    [InlineData("rebase")]
    [InlineData("rebase @a.raw")]
    [InlineData("rebase -b x -t foo @a.raw")]
    [InlineData("rebase -b x -T foo @a.raw")]
    [InlineData("commit")]
    [InlineData("commit @a.raw")]
    [InlineData("commit -f raw -t foo @a.raw")]
    [InlineData("commit -r x @a.raw")]
    [InlineData("bench")]
    [InlineData("bench -f raw -c x @a.raw")]
    [InlineData("bench -f raw -d x @a.raw")]
    [InlineData("bench -f raw -s x @a.raw")]
    [InlineData("bench -f raw -S 4G @a.raw")]
    [InlineData("bench -f raw -o x @a.raw")]
    [InlineData("bench -f raw -w --pattern 256 @a.raw")]
    [InlineData("bench -f raw -t foo @a.raw")]
    [InlineData("bench -f raw -i foo @a.raw")]
    [InlineData("bench -f raw -i native @a.raw")]
    [InlineData("bench -f raw --flush-interval 10 @a.raw")]
    [InlineData("bench -f raw -w -d 20 --flush-interval 10 @a.raw")]
    [InlineData("bench -f raw -w -U @a.raw")]
    public async Task What_is_refused_is_refused_in_the_references_words(string line)
    {
        await _tools.PrepareAsync("img create -q -f raw @a.raw 1M");
        await _tools.SameAsync(line);
    }

    [Theory]
    [InlineData("dd -f raw if=@a.raw of=@b skip=10M", "raw")]
    [InlineData("dd -f raw if=@a.raw of=@b bs=1M count=3", "raw")]
    [InlineData("dd -f raw -O qcow2 if=@a.raw of=@b bs=100 count=3 skip=1", "qcow2")]
    [InlineData("dd -f raw -O qcow2 if=@a.raw of=@b bs=64k count=3 skip=1", "qcow2")]
    [InlineData("dd -f raw if=@a.raw of=@b bs=1000 count=3", "raw")]
    [InlineData("dd -f raw -U if=@a.raw of=@b skip=3", "raw")]
    public async Task Dd_copies_what_the_reference_copies(string line, string format)
    {
        await _tools.PrepareAsync("img create -q -f raw @a.raw 1M", "io a.raw write -P 1 0 100k", "io a.raw write -P 2 100k 300k");
        await _tools.SameAsync(line);
        await _tools.SameDataAsync("b", format);
    }

    [Theory]
    [InlineData("raw", "+1000")]
    [InlineData("raw", "--preallocation=full 4M")]
    [InlineData("raw", "--shrink -1k")]
    [InlineData("raw", "-q 5M")]
    [InlineData("qcow2", "--preallocation=metadata 4M")]
    [InlineData("qcow2", "--preallocation=falloc +1M")]
    [InlineData("qcow2", "--shrink 64k")]
    [InlineData("qcow2", "+1")]
    [InlineData("qcow2", "1E")]
    public async Task Resize_leaves_what_the_reference_leaves(string format, string options)
    {
        await _tools.PrepareAsync($"img create -q -f {format} @a 1M", "io a write -P 1 0 300k");
        string[] words = options.Split(' ');
        await _tools.SameAsync($"resize -f {format} {string.Join(' ', words.SkipLast(1))} @a {words[^1]}");
        await _tools.SameDataAsync("a", format);
    }

    [Theory]
    [InlineData("-b @base.raw -F raw")]
    [InlineData("-b base.raw -F raw -p -T none -t none")]
    [InlineData("-b @short.q -F qcow2")]
    [InlineData("-b @long.q -F qcow2")]
    [InlineData("-b ''")]
    [InlineData("-b '' -U")]
    [InlineData("-b @long.q -F qcow2 -u")]
    [InlineData("-u -b ''")]
    [InlineData("-b foo -F foo")]
    [InlineData("-b foo")]
    [InlineData("-u -b foo")]
    [InlineData("-b @base.raw")]
    [InlineData("-b @top.q -F qcow2")]
    [InlineData("-u -F raw -b xxxxxxxx_LONG")]
    public async Task A_rebased_image_shows_what_the_references_shows(string options)
    {
        await ChainAsync();
        await _tools.PrepareAsync(
            "img create -q -f qcow2 @short.q 512k", "img create -q -f qcow2 @long.q 3M", "io short.q write -P 7 0 100k", "io long.q write -P 9 1000k 2000k");
        await _tools.SameAsync($"rebase {options.Replace("_LONG", new string('x', 1100), StringComparison.Ordinal)} @top.q");
        if (!options.Contains("-u -b foo", StringComparison.Ordinal)) await _tools.SameDataAsync("top.q", "qcow2");
    }

    [Fact]
    public async Task A_rebased_image_holds_what_differed_compressed_where_asked()
    {
        await ChainAsync();
        Assert.Equal(new ToolRun(0, "", ""), await ToolRun.ImgAsync("rebase", "-c", "-b", _tools["base.raw"], "-F", "raw", _tools["top.q"]));
        ToolRun map = await ToolRun.ImgAsync("map", "--output=json", _tools["top.q"]);
        Assert.Contains("\"start\": 65536, \"length\": 65536, \"depth\": 0, \"present\": true, \"zero\": false, \"data\": true, \"compressed\": true", map.Output, StringComparison.Ordinal);
        Assert.Equal(0, (await ToolRun.ReferenceAsync("qemu-img", "check", _tools["top.q"])).ExitCode);
    }

    [Theory]
    [InlineData("-p")]
    [InlineData("-d -q")]
    [InlineData("-b @base.raw")]
    [InlineData("-b base.raw -r 1G")]
    [InlineData("-b foo")]
    [InlineData("-b @top.q")]
    public async Task A_committed_chain_is_the_references(string options)
    {
        await ChainAsync();
        await _tools.SameAsync($"commit {options} @top.q");
        await _tools.SameDataAsync("top.q", "qcow2");
        await _tools.SameDataAsync("mid.q", "qcow2");
        await _tools.SameDataAsync("base.raw", "raw");
        await _tools.SameAsync("compare -f qcow2 -F qcow2 @top.q @mid.q");
    }

    [Fact]
    public async Task A_commit_that_fails_leaves_the_top_as_it_was()
    {
        await _tools.PrepareAsync("img create -q -f qcow2 @base.q 1M", "img create -q -f qcow2 -b base.q -F qcow2 @top.q", "io top.q write -P 3 0 64k");
        string failing = "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"" + _tools["top.q"]
            + "\"},\"backing\":{\"driver\":\"qcow2\",\"file\":{\"driver\":\"blkdebug\",\"inject-error\":[{\"event\":\"write_aio\",\"errno\":28}],"
            + "\"image\":{\"driver\":\"file\",\"filename\":\"" + _tools["base.q"] + "\"}}}}";
        Assert.Equal(new ToolRun(1, "", "qemu-img: Block job failed: No space left on device\n"), await ToolRun.ImgAsync("commit", failing));
        Assert.Contains("0x10000", (await ToolRun.ReferenceAsync("qemu-img", "map", _tools["top.q"])).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bench_sends_what_it_says()
    {
        await _tools.PrepareAsync("img create -q -f raw @a.raw 1M");
        ToolRun run = await ToolRun.ImgAsync("bench", "-f", "raw", "-w", "-c", "300", "-d", "5", "--flush-interval", "10", "--pattern", "0x41", "-S", "8k", _tools["a.raw"]);
        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        Assert.Matches(
            "^Sending 300 write requests, 4096 bytes each, 5 in parallel \\(starting at offset 0, step size 8192\\)\nSending flush every drained 10 requests\nRun completed in [0-9.]+ seconds.\n$",
            run.Output);
        Assert.Equal(Enumerable.Repeat((byte)0x41, 4096), (await File.ReadAllBytesAsync(_tools["a.raw"], TestContext.Current.CancellationToken)).Take(4096));
    }

    [Fact]
    public async Task Progress_as_JSON_ends_with_everything_done()
    {
        await ChainAsync();
        ToolRun run = await ToolRun.ImgAsync("rebase", "--progress=json", "-b", "", _tools["top.q"]);
        Assert.Equal((0, ""), (run.ExitCode, run.Output));
        Assert.Matches("\\{\"bytes\": 2097152, \"total\": 2097152, \"rate\": [0-9]+, \"phase\": \"rebase\"\\}\n$", run.Error);
    }

    [Theory]
    [InlineData("snapshot")]
    [InlineData("snapshot -c x -c y @a.q")]
    [InlineData("snapshot -l -c y @a.q")]
    [InlineData("snapshot -c x -f raw @a.q")]
    [InlineData("snapshot -d nope @a.q")]
    [InlineData("snapshot -a nope @a.q")]
    [InlineData("snapshot -U -c foo @a.q")]
    [InlineData("snapshot -a y --image-opts driver=raw,file.filename=@a.q")]
    [InlineData("snapshot -d y --image-opts driver=raw,file.driver=null-co")]
    [InlineData("snapshot @nope")]
    [InlineData("bitmap")]
    [InlineData("bitmap @a.q b")]
    [InlineData("bitmap --add -g x @a.q b")]
    [InlineData("bitmap -g 512 @a.q b --remove")]
    [InlineData("bitmap -b foo @a.q b --remove")]
    [InlineData("bitmap -F raw @a.q b --remove")]
    [InlineData("bitmap --remove @a.q c")]
    [InlineData("bitmap --merge c @a.q b")]
    public async Task What_is_refused_about_snapshots_and_bitmaps_is_refused_in_the_references_words(string line)
    {
        await _tools.PrepareAsync("img create -q -f qcow2 @a.q 1M");
        await _tools.SameAsync(line);
    }

    [Fact]
    public async Task Snapshots_are_taken_applied_and_deleted_as_by_the_reference()
    {
        await _tools.PrepareAsync("img create -q -f qcow2 @a.q 1M", "io a.q write -P 1 0 100k");
        await _tools.SameAsync("snapshot -c x @a.q");
        await _tools.SameAsync("snapshot -c x @a.q");
        await _tools.PrepareAsync("io a.q write -P 2 0 300k");
        await _tools.SameAsync("snapshot -c y @a.q");
        await _tools.SameAsync("snapshot -a x @a.q");
        await _tools.SameDataAsync("a.q", "qcow2");
        await _tools.SameAsync("snapshot -a 3 @a.q");
        await _tools.SameDataAsync("a.q", "qcow2");
        await _tools.SameAsync("snapshot -d x @a.q");
        await _tools.SameAsync("snapshot -d 2 @a.q");
        Assert.Matches(
            "^Snapshot list:\nID +TAG +VM SIZE +DATE +VM CLOCK +ICOUNT\n2 +x +0 B [0-9 :-]+ 00:00:00.000 +0\n3 +y +0 B [0-9 :-]+ 00:00:00.000 +0\n$",
            (await ToolRun.ImgAsync("snapshot", "-l", _tools["a.q"])).Output);
    }

    [Theory]
    [InlineData("measure")]
    [InlineData("measure @a.q @b.q")]
    [InlineData("measure --size 1M @a.q")]
    [InlineData("measure --size 1x")]
    [InlineData("measure --size 9E -O qcow2")]
    [InlineData("measure --size 1M")]
    [InlineData("measure --size 1000 -O raw")]
    [InlineData("measure --size 1M -O qcow2 --output=json")]
    [InlineData("measure --size 1M -O foo")]
    [InlineData("measure --size 1M -l x")]
    [InlineData("measure --size 1M --image-opts")]
    [InlineData("measure --size 1M -f raw")]
    [InlineData("measure --size 1M -O qcow2 -o foo=1")]
    [InlineData("measure --size 1M -O qcow2 -o cluster_size=4k,refcount_bits=64")]
    [InlineData("measure --size 1M --output=x")]
    [InlineData("measure -O raw @a.q")]
    [InlineData("measure -l foo @a.q")]
    [InlineData("measure -l snapshot.foo=1 @a.q")]
    [InlineData("measure @nope")]
    public async Task Measuring_says_what_the_reference_says(string line)
    {
        await _tools.PrepareAsync("img create -q -f qcow2 @a.q 1M", "io a.q write 0 100k");
        await _tools.SameAsync(line);
    }
}
