using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Graph;

public sealed class OpeningTests
{
    [Theory]
    [InlineData("{'driver':'memory'}", "'node-name' must be specified for the root node")]
    [InlineData("{'driver':'nope','node-name':'x'}", "Unknown driver 'nope'")]
    [InlineData("{'node-name':'x'}", "Must specify either driver or file")]
    [InlineData("{'driver':'memory','node-name':'1x'}", "Invalid node-name: '1x'")]
    [InlineData("{'driver':'memory','node-name':'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}", "Node name too long")]
    [InlineData("{'driver':'memory','node-name':'taken'}", "Duplicate nodes with node-name='taken'")]
    [InlineData("{'driver':'raw','node-name':'y','file':{'driver':'memory','node-name':'y'}}", "Duplicate nodes with node-name='y'")]
    [InlineData("{'driver':'memory','node-name':'x','force-share':true}", "force-share=on can only be used with read-only images")]
    [InlineData("{'driver':'memory','node-name':'x','detect-zeroes':'unmap'}", "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap")]
    [InlineData("{'driver':'memory','node-name':'x','discard':'foo'}", "Invalid discard option")]
    [InlineData("{'driver':'memory','node-name':'x','detect-zeroes':'foo'}", "invalid parameter value: foo")]
    [InlineData("{'driver':'memory','node-name':'x','read-only':'maybe'}", "Parameter 'read-only' expects 'on' or 'off'")]
    [InlineData("{'driver':'memory','node-name':'x','cache':{'direct':'7'}}", "Parameter 'cache.direct' expects 'on' or 'off'")]
    [InlineData("{'driver':'memory','node-name':'x','cache':{'foo':'7'}}", "Block protocol 'memory' doesn't support the option 'cache.foo'")]
    [InlineData("{'driver':'raw','node-name':'x','file':{'driver':'memory','a':{'b':1}}}", "Block protocol 'memory' doesn't support the option 'a.b'")]
    [InlineData("{'driver':'raw','node-name':'x','foo':1,'file':'taken'}", "Block format 'raw' does not support the option 'foo'")]
    [InlineData("{'driver':'raw','node-name':'x'}", "A block device must be specified for \"file\"")]
    [InlineData("{'driver':'raw','node-name':'x','file':'nope'}", "Cannot find device='nope' nor node-name='nope'")]
    [InlineData("{'driver':'qcow2','node-name':'x','file':{'driver':'memory'}}", "Image is not in qcow2 format")]
    public async Task A_refused_opening_says_why_and_leaves_nothing_behind(string options, string message)
    {
        await using var test = new TestGraph();
        await test.AddAsync("{'driver':'memory','node-name':'taken'}");
        var e = await Assert.ThrowsAsync<BlockException>(async () => await test.AddAsync(options));
        Assert.Equal(message, e.Message);
        Assert.Equal("taken", Assert.Single(test.Graph.Nodes).NodeName);
        Assert.Equal("taken", Assert.Single(test.Memory.OpenNodes).NodeName);
        Assert.Empty(test.Graph.FindNode("taken")!.Parents);
    }

    [Theory]
    [InlineData("$/nope", "Could not open '$/nope': No such file or directory")]
    [InlineData("foo:bar", "Unknown protocol 'foo'")]
    [InlineData("json:{}", "Must specify either driver or file")]
    [InlineData("json:{", "Could not parse the JSON options: JSON parse error, premature EOI")]
    [InlineData("json:[]", "Invalid JSON object given")]
    [InlineData("json:{'driver':'foo'}", "Unknown driver 'foo'")]
    [InlineData("json:{'driver':'raw'}", "A block device must be specified for \"file\"")]
    [InlineData("json:{'driver':'raw','file.driver':'memory','file':{'x.y':1}}", "Block protocol 'memory' doesn't support the option 'x.y'")]
    [InlineData("json:{'driver':'raw','file.driver':'memory','file':'a'}", "Cannot reference an existing block device with additional options or a new filename")]
    [InlineData("json:{'driver':'raw','file.driver':'memory','offset':'0','offset.x':'1'}", "Block format 'raw' does not support the option 'offset.x'")]
    [InlineData("json:{'driver':'raw','file.driver':'memory','file.x':'1','file':{'x':'2'}}", "Cannot mix scalar and non-scalar keys: 'x'")]
    public async Task A_name_that_cannot_be_opened_is_refused(string name, string message)
    {
        await using var test = new TestGraph();
        var e = await Assert.ThrowsAsync<BlockException>(async () => await test.OpenAsync(name));
        Assert.Equal(message.Replace("$", test.Directory.Path, StringComparison.Ordinal), e.Message);
        Assert.Empty(test.Graph.Nodes);
    }

    [Theory]
    [InlineData("$/a.img", "raw")]
    [InlineData("file:$/a.img", "raw")]
    [InlineData("$/a.qcow2", "qcow2")]
    [InlineData("file:$/a.qcow2", "qcow2")]
    [InlineData("json:{'file':{'driver':'file','filename':'$/a.qcow2'}}", "qcow2")]
    [InlineData("json:{'driver':'raw','file.filename':'$/a.qcow2'}", "raw")]
    [InlineData("json:{'driver':'raw','offset':'0','file.driver':'file','file.filename':'$/a.qcow2','size':'512'}", "raw")]
    public async Task A_name_chooses_protocol_and_format(string name, string driver)
    {
        await using var test = new TestGraph();
        test.Directory.File("a.img", 1 << 20);
        await test.CreateAsync("a.qcow2");
        BlockNode node = await test.OpenAsync(name);
        Assert.Equal(driver, node.Driver.Name);
        Assert.Equal("file", node.FindChild("file")!.Node.Driver.Name);
        Assert.Equal(2, test.Graph.Nodes.Count);
        await test.Graph.ReleaseAsync(node);
        Assert.Empty(test.Graph.Nodes);
    }

    [Fact]
    public async Task An_image_guessed_raw_is_announced_and_refuses_a_header_of_another_format()
    {
        await using var test = new TestGraph();
        test.Directory.File("a.img", 1 << 20);
        byte[] header = File.ReadAllBytes(await test.CreateAsync("a.qcow2"))[..512];
        var warnings = new List<string>();
        BlockNode node = await test.OpenAsync("$/a.img", TestGraph.Everything with { Warn = warnings.Add }, readOnly: false);
        Assert.StartsWith($"Image format was not specified for '{test.Directory["a.img"]}' and probing guessed raw.\n", Assert.Single(warnings));

        BlockBackend backend = await test.UseAsync(node);
        await backend.WriteAsync(0, new byte[] { 1, 2, 3 });
        var e = await Assert.ThrowsAsync<BlockException>(async () => await backend.WriteAsync(0, header));
        Assert.Equal("Operation not permitted", e.Message);
        await backend.WriteAsync(512, header);
        await backend.CloseAsync();
    }

    [Fact]
    public async Task A_raw_image_opened_as_raw_takes_any_bytes()
    {
        await using var test = new TestGraph();
        test.Directory.File("a.img", 1 << 20);
        byte[] header = File.ReadAllBytes(await test.CreateAsync("a.qcow2"))[..512];
        BlockBackend backend = await test.UseAsync(await test.AddAsync("{'driver':'raw','node-name':'r','file':{'driver':'file','filename':'$/a.img'}}"));
        await backend.WriteAsync(0, header);
        await backend.CloseAsync();
    }

    [Fact]
    public async Task Common_options_reach_the_children_that_are_described_inside()
    {
        await using var test = new TestGraph();
        BlockNode node = await test.AddAsync(
            "{'driver':'raw','node-name':'r','read-only':true,'cache':{'no-flush':true},'file':{'driver':'memory','node-name':'f','read-only':false}}");
        NodeSettings file = test.Graph.FindNode("f")!.Settings;
        Assert.True(node.IsReadOnly);
        Assert.Equal((false, true, true, false), (file.ReadOnly, file.CacheNoFlush, file.Discard, file.InheritsReadOnly));
    }

    [Fact]
    public async Task A_child_given_by_reference_keeps_its_own_settings()
    {
        await using var test = new TestGraph();
        await test.AddAsync("{'driver':'memory','node-name':'f'}");
        await test.AddAsync("{'driver':'raw','node-name':'r','read-only':true,'file':'f'}");
        Assert.False(test.Graph.FindNode("f")!.IsReadOnly);
        Assert.Equal("Block device f is in use", (await Assert.ThrowsAsync<BlockException>(async () => await test.Graph.DeleteNodeAsync("f"))).Message);
        await test.Graph.DeleteNodeAsync("r");
        await test.Graph.DeleteNodeAsync("f");
        Assert.Empty(test.Graph.Nodes);
    }

    [Fact]
    public async Task Nodes_are_listed_newest_first_with_an_image_older_than_its_backing_image()
    {
        await using var test = new TestGraph();
        await test.CreateAsync("base.qcow2");
        await test.CreateAsync("top.qcow2", "base.qcow2", "qcow2");
        await test.AddAsync("{'driver':'qcow2','node-name':'top','file':{'driver':'file','node-name':'f','filename':'$/top.qcow2'}}");
        Assert.Equal(["qcow2 base.qcow2", "file base.qcow2", "qcow2 top.qcow2", "file top.qcow2"],
            test.Graph.Nodes.Select(n => $"{n.Driver.Name} {Path.GetFileName(n.Filename)}"));
    }
}
