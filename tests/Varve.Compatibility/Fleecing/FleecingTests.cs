using System.Text.Json.Nodes;
using Varve.Qmp;

namespace Varve.Compatibility.Fleecing;

/// <summary>A disk is read over NBD as it was, while a guest writes it: the steps of the reference's own test, on both daemons.</summary>
public sealed class FleecingTests
{
    private static readonly (string Pattern, string Offset, string Length)[] s_patterns =
        [("0x5d", "0", "64k"), ("0xd5", "1M", "64k"), ("0xdc", "32M", "64k"), ("0xcd", "0x3ff0000", "64k")];

    private static readonly (string Pattern, string Offset, string Length)[] s_overwrite =
        [("0xab", "0", "64k"), ("0xad", "0x00f8000", "64k"), ("0x1d", "0x2008000", "64k"), ("0xea", "0x3fe0000", "64k")];

    private static readonly (string Pattern, string Offset, string Length)[] s_zeroes =
        [("0", "0x00f8000", "32k"), ("0", "0x2010000", "32k"), ("0", "0x3fe0000", "64k")];

    private static readonly (string Pattern, string Offset, string Length)[] s_remainder =
        [("0xd5", "0x108000", "32k"), ("0xdc", "32M", "32k"), ("0xcd", "0x3ff0000", "64k")];

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task The_snapshot_reads_the_same_from_both_daemons(bool throughAccess, bool withBitmap)
    {
        Tool.Require(Tool.QemuImg, Tool.QemuIO, Tool.QemuStorageDaemon, Tool.VarveDaemon);
        Assert.Equal(
            await RunAsync(Tool.QemuStorageDaemon, throughAccess, withBitmap), await RunAsync(Tool.VarveDaemon, throughAccess, withBitmap));
    }

    private static async Task<List<string>> RunAsync(Tool program, bool throughAccess, bool withBitmap)
    {
        using var directory = new TempDirectory();
        _ = (await Tool.QemuImg.RunAsync("create", "-q", "-f", "qcow2", directory["base"], "64M")).Succeeded;
        if (withBitmap) _ = (await Tool.QemuImg.RunAsync("bitmap", "--add", directory["base"], "bitmap0")).Succeeded;
        _ = (await Tool.QemuImg.RunAsync("create", "-q", "-f", throughAccess ? "raw" : "qcow2", directory["fleece"], "64M")).Succeeded;
        _ = (await Tool.QemuIO.RunAsync([.. Commands("write", s_patterns), directory["base"]])).Succeeded;

        var log = new List<string>();
        await using DaemonProcess daemon = await DaemonProcess.StartAsync(program, directory, []);
        await DoAsync("blockdev-add", $$"""{"driver": "qcow2", "node-name": "source", "file": {"driver": "file", "filename": "{{directory["base"]}}"} }""");
        await DoAsync("blockdev-add", throughAccess
            ? $$"""{"driver": "file", "node-name": "temp", "filename": "{{directory["fleece"]}}"}"""
            : $$"""{"driver": "qcow2", "node-name": "temp", "file": {"driver": "file", "filename": "{{directory["fleece"]}}"}, "backing": "source"}""");
        string bitmap = withBitmap ? """, "bitmap": {"node": "source", "name": "bitmap0"}""" : "";
        await DoAsync("blockdev-add", $$"""{"driver": "copy-before-write", "node-name": "cbw", "file": "source", "target": "temp"{{bitmap}} }""");
        if (throughAccess) await DoAsync("blockdev-add", """{"driver": "snapshot-access", "node-name": "access", "file": "cbw"}""");
        string snapshot = throughAccess ? "access" : "temp";
        await DoAsync("nbd-server-start", $$"""{"addr": {"type": "unix", "data": {"path": "{{directory["nbd"]}}"} } }""");
        await DoAsync("nbd-server-add", $$"""{"device": "{{snapshot}}"}""");
        await DoAsync("nbd-server-add", """{"device": "cbw", "writable": true}""");

        await IOAsync("-r", snapshot, "read", [.. s_patterns, .. s_zeroes]);
        await IOAsync("-n", "cbw", "write", s_overwrite);
        await IOAsync("-r", snapshot, "read", [.. s_patterns, .. s_zeroes]);

        await DoAsync("blockdev-del", """{"node-name": "cbw"}""");
        await DoAsync("nbd-server-stop", "{}");
        if (throughAccess) await DoAsync("blockdev-del", """{"node-name": "access"}""");
        await DoAsync("blockdev-del", """{"node-name": "cbw"}""");
        await DoAsync("blockdev-del", """{"node-name": "temp"}""");
        await daemon.TerminateAsync();
        log.Add((await Tool.QemuImg.RunAsync("check", directory["base"])).Output);
        log.Add(WithoutTimes((await Tool.QemuIO.RunAsync([.. Commands("read", [.. s_overwrite, .. s_remainder]), directory["base"]])).Succeeded));
        return log;

        async Task DoAsync(string command, string arguments)
        {
            try
            {
                log.Add($"{command} {await daemon.ExecuteAsync(command, (JsonObject)JsonNode.Parse(arguments)!)}");
            }
            catch (QmpException e)
            {
                log.Add($"{command} {e.Message}");
            }
        }

        async Task IOAsync(string option, string export, string verb, (string, string, string)[] pieces)
        {
            ToolResult run = await Tool.QemuIO.RunAsync([option, "-f", "raw", .. Commands(verb, pieces), Uri(export)]);
            log.Add(WithoutTimes(run.Output) + run.Error);
        }

        string Uri(string export) => $"nbd+unix:///{export}?socket={directory["nbd"]}";
    }

    private static IEnumerable<string> Commands(string verb, (string Pattern, string Offset, string Length)[] pieces)
        => pieces.SelectMany(p => new[] { "-c", $"{verb} -P {p.Pattern} {p.Offset} {p.Length}" });

    private static string WithoutTimes(string output)
        => string.Join('\n', output.Split('\n').Where(l => !l.Contains(" ops; ", StringComparison.Ordinal)));
}
