using Varve.Tests.Support;

namespace Varve.Tests.Filters;

/// <summary>Throttle groups answer QMP as the reference's daemon does.</summary>
public sealed class ThrottleConformanceTests
{
    private static readonly string[] s_refused =
    [
        """{"bps-total": -1}""", """{"bps-total": 10, "bps-read": 5}""", """{"iops-total": 10, "iops-write": 5}""", """{"bps-total-max": 5}""",
        """{"bps-total": 10, "bps-total-max": 5}""", """{"bps-total": 10, "bps-total-max": 50, "bps-total-max-length": 0}""",
        """{"bps-total": 10, "bps-total-max-length": 5}""", """{"iops-size": 5}""", """{"bps-total": 10000000000000000}""",
        """{"bps-total": 10, "bps-total-max": 100000000000000, "bps-total-max-length": 100000}""", """{"foo": 1}""", """{"bps-total": "x"}""",
        """{"iops-total": 10, "iops-total-max": 100, "iops-total-max-length": 8589934592}""",
    ];

    private static readonly string[] s_changes =
    [
        """{"iops-read": 9}""", """{"iops-read": 0}""", """{"iops-read": 0, "iops-read-max": 0, "iops-read-max-length": 1, "iops-size": 0}""", "5",
        """{"foo": 5}""", """{"bps-read": 5}""",
    ];

    [Fact]
    public async Task Limits_are_set_changed_and_refused_alike()
    {
        QmpScript script = MakeScript();
        QmpTranscript expected = await script.RunOnReferenceAsync();
        Assert.Equal(expected.Replies, (await MakeScript().RunOnVarveAsync()).Replies);
    }

    private static QmpScript MakeScript()
    {
        var script = new QmpScript();
        foreach (string limits in s_refused) script.Add("object-add", $$"""{"qom-type": "throttle-group", "id": "g", "limits": {{limits}} }""");
        script.Add("object-add", """
            {"qom-type": "throttle-group", "id": "g",
             "limits": {"bps-total": 1000000, "iops-read": 7, "iops-read-max": 70, "iops-read-max-length": 3, "iops-size": 4096}}
            """);
        foreach (string limits in s_changes)
        {
            script.Add("qom-set", $$"""{"path": "/objects/g", "property": "limits", "value": {{limits}} }""")
                .Add("qom-get", """{"path": "/objects/g", "property": "limits"}""");
        }

        return script
            .Add("qom-set", """{"path": "/objects/g", "property": "x-bps-total", "value": 5}""")
            .Add("qom-get", """{"path": "/objects/g", "property": "x-bps-total"}""")
            .Add("blockdev-add", """{"driver": "throttle", "node-name": "t", "throttle-group": "nobody", "file": {"driver": "null-co"}}""")
            .Add("blockdev-add", """{"driver": "throttle", "node-name": "t", "file": {"driver": "null-co"}}""")
            .Add("blockdev-add", """{"driver": "throttle", "node-name": "t", "throttle-group": "g"}""")
            .Add("blockdev-add", """{"driver": "throttle", "node-name": "t", "throttle-group": "g", "file": {"driver": "null-co", "size": 1048576}}""")
            .Add("object-del", """{"id": "g"}""")
            .Add("blockdev-del", """{"node-name": "t"}""")
            .Add("object-del", """{"id": "g"}""")
            .Add("object-del", """{"id": "g"}""");
    }
}
