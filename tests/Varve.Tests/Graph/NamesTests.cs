using Varve.Graph;

namespace Varve.Tests.Graph;

/// <summary>Names as the reference's storage daemon reports them for the same options.</summary>
public sealed class NamesTests
{
    [Theory]
    [InlineData("{'driver':'file','filename':'$/a.img'}", "$/a.img")]
    [InlineData("{'driver':'file','filename':'$/a.img','locking':'off'}", "$/a.img")]
    [InlineData("{'driver':'raw','file':{'driver':'file','filename':'$/a.img'}}", "$/a.img")]
    [InlineData("{'driver':'qcow2','file':{'driver':'file','filename':'$/a.qcow2'}}", "$/a.qcow2")]
    [InlineData("{'driver':'null-co'}", "null-co://")]
    [InlineData("{'driver':'null-co','latency-ns':5}", "null-co://")]
    [InlineData("{'driver':'null-co','size':5,'read-zeroes':true}", "json:{\"read-zeroes\": true, \"driver\": \"null-co\", \"size\": 5}")]
    [InlineData("{'driver':'raw','offset':512,'size':1024,'file':{'driver':'file','filename':'$/a.img'}}",
        "json:{\"offset\": 512, \"driver\": \"raw\", \"size\": 1024, \"file\": {\"driver\": \"file\", \"filename\": \"$/a.img\"}}")]
    [InlineData("{'driver':'raw','file':{'driver':'null-co','size':4096}}", "json:{\"driver\": \"raw\", \"file\": {\"driver\": \"null-co\", \"size\": 4096}}")]
    [InlineData("{'driver':'copy-on-read','file':{'driver':'raw','file':{'driver':'file','filename':'$/a.img'}}}",
        "json:{\"driver\": \"copy-on-read\", \"file\": {\"driver\": \"raw\", \"file\": {\"driver\": \"file\", \"filename\": \"$/a.img\"}}}")]
    [InlineData("{'driver':'qcow2','backing':null,'file':{'driver':'file','filename':'$/top.qcow2'}}",
        "json:{\"backing\": null, \"driver\": \"qcow2\", \"file\": {\"driver\": \"file\", \"filename\": \"$/top.qcow2\"}}")]
    [InlineData("{'driver':'qcow2','backing':{'driver':'null-co','size':512},'file':{'driver':'file','filename':'$/top.qcow2'}}",
        "json:{\"backing\": {\"driver\": \"null-co\", \"size\": 512}, \"driver\": \"qcow2\", \"file\": {\"driver\": \"file\", \"filename\": \"$/top.qcow2\"}}")]
    public async Task A_node_is_named_plainly_where_that_says_all_and_described_where_not(string options, string name)
    {
        await using TestGraph test = await NewAsync();
        BlockNode node = await test.AddAsync(options.Replace("{'driver'", "{'node-name':'n','driver'", StringComparison.Ordinal)
            .Replace(":{'node-name':'n',", ":{", StringComparison.Ordinal));
        Assert.Equal(name.Replace("$", test.Directory.Path, StringComparison.Ordinal), node.Filename);
    }

    [Fact]
    public async Task Options_given_as_text_stay_text_in_the_description()
    {
        await using TestGraph test = await NewAsync();
        BlockNode node = await test.OpenAsync("json:{'driver':'raw','offset':'512','file.filename':'$/a.img'}");
        Assert.Equal($$$"""json:{"offset": "512", "driver": "raw", "file": {"driver": "file", "filename": "{{{test.Directory["a.img"]}}}"}}""", node.Filename);
    }

    [Fact]
    public async Task A_rewritten_header_changes_the_name_until_it_names_the_backing_node_again()
    {
        await using TestGraph test = await NewAsync();
        BlockNode top = await test.AddAsync("{'driver':'qcow2','node-name':'top','file':{'driver':'file','filename':'$/top.qcow2'}}");
        Assert.Equal(test.Directory["top.qcow2"], top.Filename);

        await top.ChangeBackingFileAsync("elsewhere.qcow2", "qcow2", default);
        Assert.StartsWith("json:{\"backing\": ", top.Filename, StringComparison.Ordinal);
        Assert.Equal(test.Directory["elsewhere.qcow2"], top.FullBackingFile);

        await top.ChangeBackingFileAsync(test.Directory["a.qcow2"], "qcow2", default);
        Assert.Equal(test.Directory["top.qcow2"], top.Filename);
    }

    [Fact]
    public async Task A_filter_without_a_name_from_the_user_shows_the_name_below_it()
    {
        await using TestGraph test = await NewAsync();
        BlockNode filter = await test.AddAsync("{'driver':'copy-on-read','node-name':'f','file':{'driver':'qcow2','file':{'driver':'file','filename':'$/a.qcow2'}}}");
        filter.IsImplicit = true;
        test.Graph.OnChanged();
        Assert.Equal(test.Directory["a.qcow2"], filter.Filename);
        Assert.Equal("qcow2", (string?)filter.FullOptions["driver"]);
    }

    [Fact]
    public async Task Long_descriptions_are_cut_as_the_reference_cuts_them()
    {
        await using TestGraph test = await NewAsync();
        string options = "{'driver':'raw','offset':0,'file':{'driver':'file','filename':'$/a.img'}}";
        for (int i = 0; i < 120; i++) options = $"{{'driver':'raw','offset':0,'file':{options}}}";
        BlockNode node = await test.AddAsync(options.Insert(1, "'node-name':'n',"));
        Assert.Equal(4095, node.Filename.Length);
        Assert.EndsWith("...", node.Filename, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a.qcow2", "a.qcow2")]
    [InlineData("$/a.qcow2", "a.qcow2")]
    [InlineData("./a.qcow2", "a.qcow2")]
    [InlineData("link.qcow2", "a.qcow2")]
    [InlineData("b.qcow2", null)]
    [InlineData("file:a.qcow2", null)]
    [InlineData("top.qcow2", null)]
    public async Task An_image_is_found_in_a_chain_as_seen_from_the_image_above(string name, string? found)
    {
        await using TestGraph test = await NewAsync();
        await test.CreateAsync("b.qcow2");
        File.CreateSymbolicLink(test.Directory["link.qcow2"], "a.qcow2");
        BlockNode top = await test.OpenAsync("$/top.qcow2");
        BlockNode? image = BackingChain.FindImage(top, name.Replace("$", test.Directory.Path, StringComparison.Ordinal));
        Assert.Equal(found, Path.GetFileName(image?.Filename));
    }

    [Fact]
    public async Task Over_a_prefixed_record_only_the_same_text_finds_the_image()
    {
        await using TestGraph test = await NewAsync();
        await test.CreateAsync("top.qcow2", "file:$/a.qcow2", "qcow2");
        BlockNode top = await test.OpenAsync("$/top.qcow2");
        Assert.NotNull(BackingChain.FindImage(top, "file:" + test.Directory["a.qcow2"]));
        Assert.Null(BackingChain.FindImage(top, test.Directory["a.qcow2"]));
    }

    [Fact]
    public async Task An_image_opened_over_another_than_it_records_is_found_by_its_present_name_alone()
    {
        await using TestGraph test = await NewAsync();
        BlockNode top = await test.AddAsync("{'driver':'qcow2','node-name':'t','backing':{'driver':'null-co'},'file':{'driver':'file','filename':'$/top.qcow2'}}");
        Assert.Null(BackingChain.FindImage(top, "a.qcow2"));
        Assert.NotNull(BackingChain.FindImage(top, "null-co://"));
    }

    [Fact]
    public async Task A_node_without_a_file_has_no_directory()
    {
        await using TestGraph test = await NewAsync();
        BlockNode node = await test.AddAsync("{'driver':'raw','node-name':'r','file':{'driver':'null-co','size':512}}");
        Assert.Equal("Cannot generate a base directory for null-co nodes", Assert.Throws<BlockException>(() => node.DirectoryName).Message);
    }

    private static async Task<TestGraph> NewAsync()
    {
        var test = new TestGraph();
        test.Directory.File("a.img", 1 << 20);
        await test.CreateAsync("a.qcow2");
        await test.CreateAsync("top.qcow2", "a.qcow2", "qcow2");
        return test;
    }
}
