using System.Text.Json.Nodes;
using Varve.Filters.Quorum;
using Varve.Graph;
using Varve.Tests.Cli;
using Varve.Tests.Jobs;
using Varve.Tests.Support;

namespace Varve.Tests.Filters;

public sealed class QuorumTests : IDisposable
{
    private readonly ImgFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static string Describe(string more, params string[] images) => "driver=quorum," + more
        + string.Concat(images.Select((image, i) => $",children.{i}.driver=raw,children.{i}.file.filename={image}"));

    [Theory]
    [InlineData("read-pattern=quorum")]
    [InlineData("vote-threshold=0")]
    [InlineData("vote-threshold=4")]
    [InlineData("vote-threshold=x")]
    [InlineData("vote-threshold=2,blkverify=on")]
    [InlineData("vote-threshold=2,read-pattern=foo")]
    [InlineData("vote-threshold=2", "read 4k 512", "read -P 0 0 512", "write -P 3 64k 1k", "read -P 3 64k 1k", "info")]
    [InlineData("vote-threshold=1", "read -P 0 4k 512")]
    [InlineData("vote-threshold=3", "read 4k 512", "read -P 0 0 512")]
    [InlineData("vote-threshold=2,rewrite-corrupted=on", "read -P 0 4k 512")]
    [InlineData("vote-threshold=2,read-pattern=fifo", "read -P 0 4k 512")]
    public async Task It_says_and_does_what_the_reference_does(string options, params string[] commands)
    {
        string[] lines = [.. commands.DefaultIfEmpty("length").SelectMany(c => new[] { "-c", c })];
        var contents = new List<byte[]>();
        var runs = new List<ToolRun>();
        foreach (bool ours in new[] { true, false })
        {
            string[] images = [_folder.Raw($"a{ours}", 1.MiB), _folder.Raw($"b{ours}", 1.MiB, (4096, 5)), _folder.Raw($"c{ours}", 1.MiB)];
            string[] arguments = ["--image-opts", Describe(options, images), .. lines];
            runs.Add(ours ? await ToolRun.IoAsync(arguments) : await ToolRun.ReferenceAsync("qemu-io", arguments));
            contents.Add([.. images.SelectMany(File.ReadAllBytes)]);
        }

        Assert.Equal(runs[1].Error, runs[0].Error);
        Assert.Equal(WithoutTimes(runs[1]), WithoutTimes(runs[0]));
        Assert.Equal(runs[1].ExitCode, runs[0].ExitCode);
        Assert.Equal(contents[1], contents[0]);
    }

    [Fact]
    public async Task A_child_that_fails_or_differs_is_reported_and_the_others_decide()
    {
        await using var fixture = new JobFixture();
        BlockNode node = await OpenMemoryAsync(fixture, 3, threshold: 2);
        var bad = new List<QuorumBadChild>();
        var failures = new List<QuorumFailure>();
        fixture.Graph.Quorums.BadChild += bad.Add;
        fixture.Graph.Quorums.Failure += failures.Add;
        BlockBackend guest = await fixture.OpenGuestAsync("q");
        byte[] data = new byte[512];
        ((MemoryNode)node.Children[1].Node).Bytes.Write(0, "other"u8);
        await guest.ReadAsync(0, data);
        Assert.Equal((QuorumOperation.Read, node.Children[1].Node.NodeName, (string?)null), (bad[0].Operation, bad[0].NodeName, bad[0].Error));

        ((MemoryNode)node.Children[0].Node).OnRequest = (_, _, _) => throw BlockException.FromErrno(Errno.EIO);
        await guest.WriteAsync(4096, data);   // two of three
        Assert.Equal("Input/output error", bad[^1].Error);
        Assert.Empty(failures);
        await Assert.ThrowsAsync<BlockException>(() => guest.ReadAsync(0, data).AsTask());
        Assert.Single(failures);
    }

    [Fact]
    public async Task Children_come_and_go_but_not_below_the_threshold()
    {
        await using var fixture = new JobFixture();
        BlockNode quorum = await OpenMemoryAsync(fixture, 2, threshold: 2);
        BlockNode more = await fixture.OpenAsync(new() { ["driver"] = "memory", ["node-name"] = "more", ["size"] = 1 << 20 });
        await QuorumChildren.AddAsync(quorum, more, default);
        Assert.Equal("children.2", quorum.Children[^1].Name);
        await QuorumChildren.RemoveAsync(quorum, "children.0", default);
        BlockException refused = await Assert.ThrowsAsync<BlockException>(() => QuorumChildren.RemoveAsync(quorum, "children.1", default).AsTask());
        Assert.Contains("vote threshold", refused.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<BlockException>(() => QuorumChildren.RemoveAsync(quorum, "children.7", default).AsTask());
        await Assert.ThrowsAsync<BlockException>(() => QuorumChildren.AddAsync(more, quorum, default).AsTask());
        BlockBackend guest = await fixture.OpenGuestAsync("q");
        await guest.WriteAsync(0, new byte[] { 9 });
        Assert.Equal(9, ((MemoryNode)more).Bytes.ToArray()[0]);
    }

    private static async Task<BlockNode> OpenMemoryAsync(JobFixture fixture, int count, int threshold)
    {
        var children = new JsonArray();
        for (int i = 0; i < count; i++) children.Add(new JsonObject { ["driver"] = "memory", ["size"] = 1 << 20 });
        return await fixture.OpenAsync(new() { ["driver"] = "quorum", ["node-name"] = "q", ["vote-threshold"] = threshold, ["children"] = children });
    }

    private static string WithoutTimes(ToolRun run)
        => string.Join('\n', run.Output.Split('\n').Select(l => l.IndexOf(" ops;", StringComparison.Ordinal) is >= 0 and { } at ? l[..at] : l));
}
