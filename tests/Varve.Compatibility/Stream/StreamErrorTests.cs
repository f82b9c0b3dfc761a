using System.Diagnostics;
using System.Text.Json.Nodes;
using Varve.Qmp;

namespace Varve.Compatibility.Stream;

/// <summary>Every refusal of block-stream that QMP can reach, text for text, by one script against ours and the reference's daemon.</summary>
/// <remarks>The texts are QEMU 8.2.0's; Debian's 7.2 says the same.</remarks>
public sealed class StreamErrorTests
{
    /// <summary>One command and what it answers: an error class and text, or (null) success.</summary>
    private sealed record Step(string Command, string Arguments, string? Error, string Class = "GenericError");

    // Nodes: base <- mid <- slow (a filter) <- top; lone without a chain; ro over a file opened read-only, backed by base2; deep over a
    // writable, exported shared.
    private static readonly Step[] s_script =
    [
        new("blockdev-add", """{"driver":"qcow2","node-name":"base","file":{"driver":"file","filename":"base.qcow2"},"read-only":true}""", null),
        new("blockdev-add", """{"driver":"qcow2","node-name":"mid","file":{"driver":"file","filename":"mid.qcow2"},"backing":"base","read-only":true}""", null),
        new("object-add", """{"qom-type":"throttle-group","id":"group"}""", null),
        new("blockdev-add", """{"driver":"throttle","node-name":"slow","throttle-group":"group","file":"mid","read-only":true}""", null),
        new("blockdev-add", """{"driver":"qcow2","node-name":"top","file":{"driver":"file","filename":"top.qcow2"},"backing":"slow"}""", null),
        new("blockdev-add", """{"driver":"null-co","node-name":"lone","read-zeroes":true}""", null),

        // The dispatcher's own refusals come first.
        new("block-stream", "{}", "Parameter 'device' is missing"),
        new("block-stream", """{"job-id":"j","device":"top","foo":1}""", "Parameter 'foo' is unexpected"),
        new("block-stream", """{"job-id":"j","device":"top","speed":"fast"}""", "Invalid parameter type for 'speed', expected: integer"),
        new("block-stream", """{"job-id":"j","device":"top","on-error":"foo"}""", "Parameter 'on-error' does not accept value 'foo'"),

        new("block-stream", """{"job-id":"j","device":"top","base":"b","base-node":"base"}""", "'base' and 'base-node' cannot be specified at the same time"),
        new("block-stream", """{"job-id":"j","device":"top","base":"b","bottom":"mid"}""", "'base' and 'bottom' cannot be specified at the same time"),
        new("block-stream", """{"job-id":"j","device":"top","bottom":"mid","base-node":"base"}""", "'bottom' and 'base-node' cannot be specified at the same time"),
        new("block-stream", """{"job-id":"j","device":"nope"}""", "Cannot find device='nope' nor node-name='nope'"),
        new("block-stream", """{"job-id":"j","device":"top","base":"nope.qcow2"}""", "Can't find 'nope.qcow2' in the backing chain"),
        new("block-stream", """{"job-id":"j","device":"top","base-node":"nope"}""", "Cannot find device='' nor node-name='nope'"),
        new("block-stream", """{"job-id":"j","device":"top","base-node":"top"}""", "Node 'top' is not a backing image of 'top'"),
        new("block-stream", """{"job-id":"j","device":"top","base-node":"lone"}""", "Node 'lone' is not a backing image of 'top'"),
        new("block-stream", """{"job-id":"j","device":"top","bottom":"nope"}""", "Cannot find device='' nor node-name='nope'"),
        new("block-stream", """{"job-id":"j","device":"top","bottom":"slow"}""", "Node 'slow' is a filter, use a non-filter node as 'bottom'"),
        new("block-stream", """{"job-id":"j","device":"top","bottom":"lone"}""", "Node 'lone' is not in a chain starting from 'top'"),
        new("block-stream", """{"job-id":"j","device":"top","backing-file":"x"}""", "backing file specified, but streaming the entire chain"),
        new("block-stream", """{"job-id":"j","device":"top","bottom":"mid","backing-file":"x"}""", "backing file specified, but streaming the entire chain"),
        new("block-stream", """{"job-id":"j","device":"lone","backing-file":"x"}""", "backing file specified, but streaming the entire chain"),

        new("block-stream", """{"job-id":"j","device":"top","filter-node-name":"mid"}""", "Could not create node: Duplicate nodes with node-name='mid'"),
        new("block-stream", """{"job-id":"j","device":"top","filter-node-name":"0bad"}""", "Could not create node: Invalid node-name: '0bad'"),
        new("block-stream", """{"device":"top"}""", "Invalid job ID ''"),
        new("block-stream", """{"job-id":"0bad","device":"top"}""", "Invalid job ID '0bad'"),
        new("block-stream", """{"job-id":"j","device":"top","speed":-1}""", "Parameter 'speed' expects a non-negative value"),

        // A stream that hardly moves holds its nodes.
        new("block-stream", """{"job-id":"j","device":"top","base-node":"base","speed":1,"filter-node-name":"filter"}""", null),
        new("block-stream", """{"job-id":"k","device":"top"}""", "Node 'top' is busy: block device is in use by block job: stream"),
        new("block-stream", """{"job-id":"k","device":"filter"}""", "Node 'filter' is busy: block device is in use by block job: stream"),
        new("block-stream", """{"job-id":"k","device":"mid"}""", "Node 'mid' is busy: block device is in use by block job: stream"),
        new("block-stream", """{"job-id":"j","device":"lone"}""", "Job ID 'j' already in use"),
        new("blockdev-del", """{"node-name":"top"}""", "Node 'top' is busy: block device is in use by block job: stream"),
        new("block-job-complete", """{"device":"j"}""", "Job 'j' in state 'running' cannot accept command verb 'complete'"),
        new("block-job-set-speed", """{"device":"j","speed":-1}""", "Parameter 'speed' expects a non-negative value"),
        new("block-job-resume", """{"device":"j"}""", "Can't resume a job that was not paused"),
        new("block-job-cancel", """{"device":"none"}""", "Block job 'none' not found", "DeviceNotActive"),
        new("job-cancel", """{"id":"none"}""", "Job not found"),
        new("job-cancel", """{"id":"j"}""", null),
        new("", "j", null),

        // A top that cannot be written.
        new("blockdev-add", """{"driver":"qcow2","node-name":"ro","file":{"driver":"file","filename":"ro.qcow2","read-only":true},"read-only":true}""", null),
        new("block-stream", """{"job-id":"j","device":"ro"}""", "Block node is read-only"),

        // Somebody writes an image between top and base.
        new("blockdev-del", """{"node-name":"top"}""", null),
        new("blockdev-del", """{"node-name":"slow"}""", null),
        new("blockdev-del", """{"node-name":"mid"}""", null),
        new("blockdev-add", """{"driver":"qcow2","node-name":"mid","file":{"driver":"file","filename":"mid.qcow2"},"backing":"base"}""", null),
        new("nbd-server-start", """{"addr":{"type":"unix","data":{"path":"nbd.sock"}}}""", null),
        new("block-export-add", """{"type":"nbd","id":"e","node-name":"mid","writable":true}""", null),
        new("blockdev-add", """{"driver":"qcow2","node-name":"top","file":{"driver":"file","filename":"top.qcow2"},"backing":"mid"}""", null),
        new("block-stream", """{"job-id":"j","device":"top"}""",
            "Permission conflict on node 'mid': permissions 'write' are both required by an unnamed block device (uses node 'mid' as 'root' child) "
            + "and unshared by stream job 'j' (uses node 'mid' as 'intermediate node' child)."),

        // change-backing-file, its sibling.
        new("change-backing-file", """{"device":"nope","image-node-name":"mid","backing-file":"x"}""", "Cannot find device='nope' nor node-name='nope'"),
        new("change-backing-file", """{"device":"base","image-node-name":"base","backing-file":"x"}""", "Need a root block node"),
        new("change-backing-file", """{"device":"top","image-node-name":"nope","backing-file":"x"}""", "Cannot find device='' nor node-name='nope'"),
        new("change-backing-file", """{"device":"top","image-node-name":"base","backing-file":"x"}""", "not allowing backing file change on an image without a backing file"),
        new("change-backing-file", """{"device":"lone","image-node-name":"mid","backing-file":"x"}""", "'lone' and image file are not in the same chain"),
    ];

    [Fact]
    public async Task Ours_answers_the_script_as_QEMU_8_2_does()
    {
        Tool.Require(Tool.QemuImg, Tool.QemuIO, Tool.VarveDaemon);
        await PlayAsync(Tool.VarveDaemon);
    }

    [Fact]
    public async Task The_reference_answers_the_script_as_we_expect_of_it()
    {
        Tool.Require(Tool.QemuImg, Tool.QemuIO, Tool.QemuStorageDaemon);
        await PlayAsync(Tool.QemuStorageDaemon);
    }

    private static async Task PlayAsync(Tool tool)
    {
        using var home = new TempDirectory();
        await Chain.MakeAsync(home.ToString());
        (await Tool.QemuImg.RunInAsync(home.ToString(), "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "ro.qcow2")).Succeeded.ToString();
        await using DaemonProcess daemon = await DaemonProcess.StartAsync(tool, home, []);
        for (int at = 0; at < s_script.Length; at++)
        {
            Step step = s_script[at];
            if (step.Command.Length == 0)
            {
                var waited = Stopwatch.StartNew();
                while (await daemon.JobAsync(step.Arguments) is not null)
                {
                    Assert.True(waited.Elapsed < TimeSpan.FromMinutes(1), $"job {step.Arguments} does not end");
                    await Task.Delay(10);
                }

                continue;
            }

            string? error = null, errorClass = null;
            try
            {
                await daemon.ExecuteAsync(step.Command, (JsonObject)JsonNode.Parse(step.Arguments)!);
            }
            catch (QmpException e)
            {
                (error, errorClass) = (e.Message, e.ErrorClass);
            }

            string where = $"step {at}: {step.Command} {step.Arguments}";
            Assert.Equal($"{where}: {step.Error ?? "success"}", $"{where}: {error ?? "success"}");
            if (error is not null) Assert.Equal($"{where}: {step.Class}", $"{where}: {errorClass}");
        }
    }
}
