using Varve.Graph;

namespace Varve.Tests.Graph;

public sealed class BackingTests
{
    [Theory]
    [InlineData("base.qcow2")]
    [InlineData("$/base.qcow2")]
    [InlineData("file:$/base.qcow2")]
    [InlineData("./sub/../base.qcow2")]
    [InlineData("json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"$/base.qcow2\"}}")]
    [InlineData("json:{\"file.filename\":\"$/base.qcow2\"}")]
    public async Task A_recorded_name_is_resolved_from_the_directory_of_the_image_that_records_it(string recorded)
    {
        await using var test = new TestGraph();
        Directory.CreateDirectory(test.Directory["sub"]);
        await test.CreateAsync("base.qcow2");
        await test.CreateAsync("top.qcow2", recorded, "qcow2");
        BlockNode top = await test.OpenAsync("$/top.qcow2");
        Assert.Equal("qcow2", top.BackingChild!.Node.Driver.Name);
        Assert.True(top.BackingChild.Node.IsReadOnly);
        Assert.Equal(test.Directory["top.qcow2"], top.Filename);
        Assert.False(top.IsBackingOverridden);
    }

    [Fact]
    public async Task A_backing_image_of_unrecorded_format_is_probed()
    {
        await using var test = new TestGraph();
        await test.CreateAsync("base.qcow2");
        await test.CreateAsync("top.qcow2", "base.qcow2");
        Assert.Equal("qcow2", (await test.OpenAsync("$/top.qcow2")).BackingChild!.Node.Driver.Name);
    }

    [Theory]
    [InlineData("missing.qcow2", "Could not open backing file: Could not open '$/missing.qcow2': No such file or directory")]
    [InlineData("foo:bar", "Could not open backing file: Unknown protocol 'foo'")]
    [InlineData("top.qcow2", "Could not open backing file: Backing file '$/top.qcow2' creates an infinite loop.")]
    [InlineData("link.qcow2", "Could not open backing file: Backing file '$/link.qcow2' creates an infinite loop.")]
    [InlineData("other.qcow2", "Could not open backing file: Could not open backing file: Backing file '$/top.qcow2' creates an infinite loop.")]
    [InlineData("json:{\"file.filename\":\"$/top.qcow2\"}", null)]
    public async Task A_backing_image_that_cannot_be_opened_fails_the_whole_opening(string recorded, string? message)
    {
        await using var test = new TestGraph();
        await test.CreateAsync("top.qcow2", recorded, "qcow2");
        await test.CreateAsync("other.qcow2", "top.qcow2", "qcow2");
        File.CreateSymbolicLink(test.Directory["link.qcow2"], "top.qcow2");
        var e = await Assert.ThrowsAsync<BlockException>(async () => await test.OpenAsync("$/top.qcow2"));
        if (message is not null) Assert.Equal(message.Replace("$", test.Directory.Path, StringComparison.Ordinal), e.Message);
        else Assert.Contains("creates an infinite loop", e.Message, StringComparison.Ordinal);
        Assert.Empty(test.Graph.Nodes);
    }

    [Fact]
    public async Task A_chain_beyond_the_limit_is_an_error()
    {
        await using var test = new TestGraph();
        await test.CreateAsync("0");
        for (int i = 1; i < 5; i++) await test.CreateAsync($"{i}", $"{i - 1}", "qcow2");
        var e = await Assert.ThrowsAsync<BlockException>(async () => await test.OpenAsync("$/4", TestGraph.Everything with { MaxDepth = 4 }));
        Assert.Equal(BlockErrorKind.TooLarge, e.Kind);
        Assert.EndsWith("The backing chain is longer than 4 images", e.Message, StringComparison.Ordinal);
        BlockNode top = await test.OpenAsync("$/4", TestGraph.Everything with { MaxDepth = 5 });
        Assert.Equal(4, BackingChain.Depth(top));
    }

    [Fact]
    public async Task A_long_chain_opens_and_names_itself()
    {
        await using var test = new TestGraph();
        await test.CreateAsync("0");
        for (int i = 1; i < 120; i++) await test.CreateAsync($"{i}", $"{i - 1}", "qcow2");
        BlockNode top = await test.OpenAsync("$/119");
        Assert.Equal(119, BackingChain.Depth(top));
        Assert.Equal(test.Directory["119"], top.Filename);
    }

    [Theory]
    [InlineData("null", null, true)]
    [InlineData("'raw'", "raw", true)]
    [InlineData("{'driver':'qcow2','node-name':'given','file':{'driver':'file','filename':'$/other.qcow2'}}", "given", true)]
    [InlineData("{'node-name':'given'}", "given", false)]
    public async Task The_caller_may_choose_another_backing_image_or_none(string backing, string? node, bool overrides)
    {
        await using var test = new TestGraph();
        await test.CreateAsync("base.qcow2");
        await test.CreateAsync("other.qcow2");
        await test.CreateAsync("top.qcow2", "$/base.qcow2", "qcow2");
        await test.AddAsync("{'driver':'raw','node-name':'raw','file':{'driver':'memory','node-name':'m'}}");
        BlockNode top = await test.AddAsync($"{{'driver':'qcow2','node-name':'top','backing':{backing},'file':{{'driver':'file','filename':'$/top.qcow2'}}}}");
        Assert.Equal(node, top.BackingChild?.Node.NodeName);
        Assert.Equal(overrides, top.IsBackingOverridden);
        Assert.Equal(overrides, FileNames.IsJson(top.Filename));
    }

    [Fact]
    public async Task Under_a_narrow_policy_recorded_names_are_followed_only_where_allowed()
    {
        await using var test = new TestGraph();
        Directory.CreateDirectory(test.Directory["sub"]);
        await test.CreateAsync("base.qcow2");
        await test.CreateAsync("sub/near.qcow2");
        await test.CreateAsync("sub/a.qcow2", "../base.qcow2", "qcow2");
        await test.CreateAsync("sub/b.qcow2", "near.qcow2", "qcow2");
        await test.CreateAsync("sub/c.qcow2", "json:{\"driver\":\"null-co\"}");
        File.CreateSymbolicLink(test.Directory["sub/escape.qcow2"], "../base.qcow2");
        await test.CreateAsync("sub/d.qcow2", "escape.qcow2", "qcow2");

        await RefusedAsync("sub/b.qcow2", ReferencePolicy.Nothing);
        await RefusedAsync("sub/a.qcow2", ReferencePolicy.SameDirectory);
        await RefusedAsync("sub/c.qcow2", ReferencePolicy.SameDirectory);
        await RefusedAsync("sub/d.qcow2", ReferencePolicy.SameDirectory);
        await RefusedAsync("sub/a.qcow2", ReferencePolicy.Roots(test.Directory["sub"]));
        await RefusedAsync("sub/c.qcow2", ReferencePolicy.Roots("/"));
        await AllowedAsync("sub/b.qcow2", ReferencePolicy.SameDirectory);
        await AllowedAsync("sub/a.qcow2", ReferencePolicy.Roots(test.Directory.Path));
        await AllowedAsync("sub/c.qcow2", ReferencePolicy.Everything);

        async Task RefusedAsync(string name, ReferencePolicy policy)
        {
            var e = await Assert.ThrowsAsync<BlockException>(async () => await test.OpenAsync("$/" + name, new OpenContext { References = policy }));
            Assert.Equal(BlockErrorKind.Denied, e.Kind);
            Assert.Empty(test.Graph.Nodes);
        }

        async Task AllowedAsync(string name, ReferencePolicy policy)
        {
            BlockNode node = await test.OpenAsync("$/" + name, new OpenContext { References = policy });
            Assert.NotNull(node.BackingChild);
            await test.Graph.ReleaseAsync(node);
        }
    }
}
