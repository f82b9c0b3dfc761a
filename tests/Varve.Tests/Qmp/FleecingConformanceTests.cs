using Varve.Tests.Support;

namespace Varve.Tests.Qmp;

/// <summary><c>copy-before-write</c> and <c>snapshot-access</c> answer QMP as the reference's daemon does.</summary>
public sealed class FleecingConformanceTests
{
    private const string Cbw = """{"driver": "copy-before-write", "node-name": "c", "file": "s", "target": """;

    private static readonly QmpScript s_script = new QmpScript()
        .Add("blockdev-add", """{"driver": "null-co", "node-name": "s", "size": 4194304}""")
        .Add("blockdev-add", """{"driver": "null-co", "node-name": "t", "size": 4194304}""")
        .Add("blockdev-add", """{"driver": "null-co", "node-name": "small", "size": 1048576}""")
        .Add("blockdev-add", """{"driver": "null-co", "node-name": "ro", "size": 4194304, "read-only": true}""")
        .Add("blockdev-add", Cbw + "\"nobody\"}")
        .Add("blockdev-add", """{"driver": "copy-before-write", "node-name": "c", "file": "nobody", "target": "t"}""")
        .Add("blockdev-add", """{"driver": "copy-before-write", "node-name": "c", "file": "s"}""")
        .Add("blockdev-add", """{"driver": "copy-before-write", "node-name": "c", "target": "t"}""")
        .Add("blockdev-add", Cbw + "\"ro\"}")
        .Add("blockdev-add", Cbw + "\"t\", \"on-cbw-error\": \"x\"}")
        .Add("blockdev-add", Cbw + "\"t\", \"cbw-timeout\": -1}")
        .Add("blockdev-add", Cbw + "\"t\", \"cbw-timeout\": 4294967296}")
        .Add("blockdev-add", Cbw + "\"t\", \"bitmap\": \"s\"}")
        .Add("blockdev-add", Cbw + "\"t\", \"bitmap\": {\"node\": \"s\"}}")
        .Add("blockdev-add", Cbw + "\"t\", \"bitmap\": {\"node\": \"nobody\", \"name\": \"b\"}}")
        .Add("blockdev-add", Cbw + "\"t\", \"bitmap\": {\"node\": \"s\", \"name\": \"b\"}}")
        .Add("block-dirty-bitmap-add", """{"node": "small", "name": "b"}""")
        .Add("blockdev-add", Cbw + "\"t\", \"bitmap\": {\"node\": \"small\", \"name\": \"b\"}}")
        .Add("block-dirty-bitmap-add", """{"node": "s", "name": "b", "granularity": 4096}""")
        .Add("blockdev-add", Cbw + "\"t\", \"bitmap\": {\"node\": \"s\", \"name\": \"b\"}, \"cbw-timeout\": 4294967295}")
        .Add("blockdev-del", """{"node-name": "t"}""")
        .Add("blockdev-del", """{"node-name": "c"}""")
        .Add("blockdev-add", Cbw + "\"small\", \"read-only\": true}")
        .Add("blockdev-del", """{"node-name": "c"}""")
        .Add("blockdev-add", Cbw + "\"t\"}")
        .Add("blockdev-add", """{"driver": "snapshot-access", "node-name": "a"}""")
        .Add("blockdev-add", """{"driver": "snapshot-access", "node-name": "a", "file": "nobody"}""")
        .Add("blockdev-add", """{"driver": "snapshot-access", "node-name": "plain", "file": "s"}""")
        .Add("blockdev-add", """{"driver": "snapshot-access", "node-name": "a", "file": "c"}""")
        .Add("block_resize", """{"node-name": "a", "size": 8388608}""")
        .Add("blockdev-del", """{"node-name": "c"}""")
        .Add("blockdev-del", """{"node-name": "s"}""")
        .Add("blockdev-del", """{"node-name": "a"}""")
        .Add("blockdev-del", """{"node-name": "c"}""")
        .Add("blockdev-del", """{"node-name": "t"}""");

    [Fact]
    public async Task Nodes_are_added_and_refused_alike()
    {
        QmpTranscript expected = await s_script.RunOnReferenceAsync();
        Assert.Equal(expected.Replies, (await s_script.RunOnVarveAsync()).Replies);
    }
}
