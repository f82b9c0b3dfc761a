using System.Text.Json.Nodes;
using Varve.Tests.Support;

namespace Varve.Tests.Jobs;

/// <summary>The same streams on Varve and on the reference's daemon: the same replies, word for word, and the same events in the same order.</summary>
public sealed class StreamConformanceTests
{
    private const string Failing =
        """
        , "inject-error": [{"event": "read_aio", "state": 1, "errno": ERRNO, "sector": 1024, "once": true}],
          "set-state": [{"event": "read_aio", "state": 1, "new_state": 1}]
        """;

    [Fact]
    public Task Wrong_arguments_are_refused_alike() => CompareAsync(directory => Chain(directory)
        .Add("blockdev-add", """{"driver": "null-co", "node-name": "other"}""")
        .Add("block-stream", """{"device": "nobody"}""")
        .Add("block-stream", """{"device": "top"}""")
        .Add("block-stream", """{"device": "top", "base": "x", "base-node": "y"}""")
        .Add("block-stream", """{"device": "top", "base": "x", "bottom": "y"}""")
        .Add("block-stream", """{"device": "top", "bottom": "x", "base-node": "y"}""")
        .Add("block-stream", """{"device": "top", "base": "nowhere"}""")
        .Add("block-stream", """{"device": "top", "base": "/nowhere"}""")
        .Add("block-stream", """{"device": "top", "base-node": "nobody"}""")
        .Add("block-stream", """{"device": "top", "base-node": "top"}""")
        .Add("block-stream", """{"device": "top", "base-node": "other"}""")
        .Add("block-stream", """{"device": "top", "bottom": "nobody"}""")
        .Add("block-stream", """{"device": "top", "bottom": "other"}""")
        .Add("block-stream", """{"device": "top", "backing-file": "x"}""")
        .Add("block-stream", """{"device": "top", "bottom": "mid", "backing-file": "x"}""")
        .Add("block-stream", """{"device": "top", "filter-node-name": "mid"}""")
        .Add("block-stream", """{"device": "top", "filter-node-name": "9"}""")
        .Add("block-stream", """{"device": "top", "job-id": "9"}""")
        .Add("block-stream", """{"device": "top", "job-id": ""}""")
        .Add("block-stream", """{"device": "top", "job-id": "j", "speed": -1}""")
        .Add("block-stream", """{"device": "top", "job-id": "j", "on-error": "never"}""")
        .Add("block-stream", """{"job-id": "j"}""")
        .Add("block-stream", """{"device": "top", "foo": 1}""")
        .Add("query-block-jobs")
        .Add("query-named-block-nodes", """{"flat": true}"""));

    [Theory]
    [InlineData("""{"device": "top", "job-id": "j"}""")]
    [InlineData("""{"device": "top", "job-id": "j", "base-node": "base", "backing-file": "base.img"}""")]
    [InlineData("""{"device": "top", "job-id": "j", "base-node": "base", "backing-file": "else/where"}""")]
    [InlineData("""{"device": "top", "job-id": "j", "base-node": "mid"}""")]
    [InlineData("""{"device": "top", "job-id": "j", "bottom": "top"}""")]
    [InlineData("""{"device": "top", "job-id": "j", "bottom": "mid", "filter-node-name": "cor"}""")]
    [InlineData("""{"device": "base", "job-id": "j"}""")]
    [InlineData("""{"device": "mid", "job-id": "j"}""")]
    public Task A_stream_ends_with_the_same_events_and_the_same_graph(string arguments) => CompareAsync(directory => Chain(directory)
        .Add("block-stream", arguments)
        .Wait("JOB_STATUS_CHANGE", ("id", "j"), ("status", "null"))
        .Add("query-jobs")
        .Add("query-named-block-nodes"));

    [Fact]
    public Task A_throttled_stream_is_shown_changed_and_cancelled_alike() => CompareAsync(directory => Chain(directory)
        .Add("block-stream", """{"device": "top", "job-id": "j", "speed": 1, "filter-node-name": "cor"}""")
        .Add("block-job-set-speed", """{"device": "j", "speed": -1}""")
        .Add("block-job-resume", """{"device": "j"}""")
        .Add("block-job-complete", """{"device": "j"}""")
        .Add("block-job-finalize", """{"id": "j"}""")
        .Add("block-job-dismiss", """{"id": "j"}""")
        .Add("block-job-pause", """{"device": "nobody"}""")
        .Add("job-pause", """{"id": "nobody"}""")
        .Add("blockdev-del", """{"node-name": "top"}""")
        .Add("blockdev-del", """{"node-name": "cor"}""")
        .Add("blockdev-del", """{"node-name": "mid"}""")
        .Add("block-stream", """{"device": "top", "job-id": "k"}""")
        .Add("block-stream", """{"device": "mid", "job-id": "k"}""")
        .Add("block-stream", """{"device": "cor", "job-id": "k"}""")
        .Add("change-backing-file", """{"device": "top", "image-node-name": "top", "backing-file": "x"}""")
        .Add("change-backing-file", """{"device": "cor", "image-node-name": "top", "backing-file": "x"}""")
        .Add("block-job-cancel", """{"device": "j"}""")
        .Wait("JOB_STATUS_CHANGE", ("id", "j"), ("status", "null"))
        .Add("query-named-block-nodes", """{"flat": true}"""));

    [Fact]
    public Task A_paused_stream_answers_alike() => CompareAsync(directory => Chain(directory)
        .Add("block-stream", """{"device": "top", "job-id": "j", "speed": 1, "auto-dismiss": false}""")
        .Add("block-job-pause", """{"device": "j"}""")
        .Wait("JOB_STATUS_CHANGE", ("id", "j"), ("status", "paused"))
        .Add("query-block-jobs")
        .Add("block-job-pause", """{"device": "j"}""")
        .Add("block-job-cancel", """{"device": "j"}""")
        .Add("block-job-set-speed", """{"device": "j", "speed": 0}""")
        .Add("block-job-resume", """{"device": "j"}""")
        .Wait("JOB_STATUS_CHANGE", ("id", "j"), ("status", "concluded"))
        .Add("query-block-jobs")
        .Add("query-jobs")
        .Add("block-job-cancel", """{"device": "j"}""")
        .Add("job-dismiss", """{"id": "j"}"""));

    [Fact]
    public Task A_pending_stream_is_cancelled_alike() => CompareAsync(directory => Chain(directory)
        .Add("block-stream", """{"device": "top", "job-id": "j", "auto-finalize": false, "auto-dismiss": false}""")
        .Wait("BLOCK_JOB_PENDING", ("id", "j"))
        .Add("query-block-jobs")
        .Add("block-job-cancel", """{"device": "j"}""")
        .Add("query-jobs")
        .Add("query-block-jobs")
        .Add("block-job-dismiss", """{"id": "j"}""")
        .Add("query-named-block-nodes", """{"flat": true}"""));

    [Theory]
    [InlineData(5, "report")]
    [InlineData(5, "ignore")]
    [InlineData(5, "enospc")]
    [InlineData(5, "auto")]
    [InlineData(28, "report")]
    public Task A_failing_chunk_is_dealt_with_alike(int errno, string policy) => CompareAsync(directory => Chain(directory, Error(errno))
        .Add("block-stream", $$"""{"device": "top", "job-id": "j", "on-error": "{{policy}}", "auto-dismiss": false}""")
        .Wait("JOB_STATUS_CHANGE", ("id", "j"), ("status", "concluded"))
        .Add("query-block-jobs")
        .Add("query-jobs")
        .Add("job-dismiss", """{"id": "j"}"""));

    [Theory]
    [InlineData(5, "stop")]
    [InlineData(28, "enospc")]
    public Task A_stopped_stream_goes_on_alike(int errno, string policy) => CompareAsync(directory => Chain(directory, Error(errno))
        .Add("block-stream", $$"""{"device": "top", "job-id": "j", "on-error": "{{policy}}"}""")
        .Wait("JOB_STATUS_CHANGE", ("id", "j"), ("status", "paused"))
        .Add("query-block-jobs")
        .Add("block-job-cancel", """{"device": "j"}""")
        .Add("block-job-resume", """{"device": "j"}""")
        .Wait("JOB_STATUS_CHANGE", ("id", "j"), ("status", "null")));

    [Fact]
    public Task The_backing_file_is_changed_alike() => CompareAsync(directory => Chain(directory)
        .Add("change-backing-file", """{"device": "nobody", "image-node-name": "top", "backing-file": "x"}""")
        .Add("change-backing-file", """{"device": "mid", "image-node-name": "top", "backing-file": "x"}""")
        .Add("change-backing-file", """{"device": "top", "image-node-name": "nobody", "backing-file": "x"}""")
        .Add("change-backing-file", """{"device": "top", "image-node-name": "base", "backing-file": "x"}""")
        .Add("change-backing-file", $$"""{"device": "top", "image-node-name": "top", "backing-file": "{{new string('x', 1024)}}"}""")
        .Add("change-backing-file", """{"device": "top", "image-node-name": "mid", "backing-file": "other.img"}""")
        .Add("query-named-block-nodes", """{"flat": true}""")
        .Add("change-backing-file", """{"device": "top", "image-node-name": "top", "backing-file": "mid.img"}""")
        .Add("query-named-block-nodes", """{"flat": true}"""));

    private static string Error(int errno) => Failing.Replace("ERRNO", $"{errno}", StringComparison.Ordinal);

    /// <summary>base.img (raw, 2 MiB of data, perhaps on a failing disk), mid.img and top.img, opened as base, mid and top.</summary>
    private static QmpScript Chain(TempDirectory directory, string rules = "")
    {
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "raw", directory["base.img"], "2M");
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.img", "-F", "raw", directory["mid.img"]);
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "mid.img", "-F", "qcow2", directory["top.img"]);
        ReferenceTool.Run("qemu-io", "-f", "raw", "-c", "write -P 1 0 2M", directory["base.img"]);
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -P 2 256k 128k", directory["mid.img"]);
        string file = $$"""{"driver": "file", "filename": "{{directory["base.img"]}}"}""";
        if (rules.Length > 0) file = $$"""{"driver": "blkdebug", "image": {{file}}{{rules}}}""";
        return new QmpScript()
            .Add("blockdev-add", $$"""{"driver": "raw", "node-name": "base", "file": {{file}} }""")
            .Add("blockdev-add", $$"""{"driver": "qcow2", "node-name": "mid", "backing": "base", "file": {"driver": "file", "filename": "{{directory["mid.img"]}}"} }""")
            .Add("blockdev-add", $$"""{"driver": "qcow2", "node-name": "top", "backing": "mid", "file": {"driver": "file", "filename": "{{directory["top.img"]}}"} }""");
    }

    /// <summary>Each side gets images of its own, in directories whose names are left out of the comparison.</summary>
    private static async Task CompareAsync(Func<TempDirectory, QmpScript> make)
    {
        using TempDirectory theirs = new(), ours = new();
        QmpTranscript expected = await make(theirs).RunOnReferenceAsync();
        QmpTranscript actual = await make(ours).RunOnVarveAsync();
        Assert.Equal(expected.Replies.Select(r => Plain(r, theirs)), actual.Replies.Select(r => Plain(r, ours)));
        Assert.Equal(expected.Events.Select(e => Plain(e, theirs)), actual.Events.Select(e => Plain(e, ours)));
    }

    /// <summary>Of nodes, their place in the chain is compared; what else versions of the reference tell of them differs.</summary>
    private static string Plain(string line, TempDirectory directory)
    {
        line = line.Replace(directory.Path, "DIR", StringComparison.Ordinal);
        if (!line.StartsWith("return [{", StringComparison.Ordinal) || !line.Contains("\"node-name\"", StringComparison.Ordinal)) return line;
        return string.Join('\n', JsonNode.Parse(line["return ".Length..])!.AsArray().Select(n =>
            $"{n!["node-name"]} {n["drv"]} ro={n["ro"]} {n["file"]} over {n["backing_file"]} depth={n["backing_file_depth"]}"));
    }
}
