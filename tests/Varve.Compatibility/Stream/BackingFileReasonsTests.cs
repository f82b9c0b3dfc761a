using System.Text.Json.Nodes;

namespace Varve.Compatibility.Stream;

/// <summary>Why <c>backing-file</c> exists: three ways of opening a chain in which only the caller knows the right name.</summary>
/// <remarks>Each runs both ways: with the caller's name the reference opens the result from the right place; without it the header
/// says what the reference would have written, which leads nowhere.</remarks>
public sealed class BackingFileReasonsTests
{
    [Theory]
    [InlineData("base.qcow2")]
    [InlineData(null)]
    public async Task An_image_opened_by_relative_path_from_another_directory(string? backingFile)
    {
        Tool.Require(Tool.QemuImg, Tool.QemuIO, Tool.VarveDaemon);
        using var home = new TempDirectory();
        await Chain.MakeAsync(home["images"]);
        string before = await GuestData.Sha256Async(home["images/top.qcow2"]);

        await using DaemonProcess daemon = await DaemonProcess.StartAsync(Tool.VarveDaemon, home,
            ["--blockdev", "driver=qcow2,node-name=top,file.driver=file,file.filename=images/top.qcow2,backing.node-name=mid,backing.driver=qcow2,"
                + "backing.file.driver=file,backing.file.filename=images/mid.qcow2,backing.backing.node-name=base,backing.backing.driver=qcow2,"
                + "backing.backing.file.driver=file,backing.backing.file.filename=images/base.qcow2"]);
        Assert.Null(await daemon.StreamAsync("top", "base", backingFile));
        await daemon.TerminateAsync();

        await AssertLeadsToAsync(backingFile is not null, home["images/top.qcow2"], backingFile ?? "images/base.qcow2", home["images/base.qcow2"], before);
    }

    [Theory]
    [InlineData("base.qcow2")]
    [InlineData(null)]
    public async Task An_image_opened_by_an_inherited_descriptor(string? backingFile)
    {
        Tool.Require(Tool.QemuImg, Tool.QemuIO, Tool.VarveDaemon, Tool.Bash);
        using var home = new TempDirectory();
        await Chain.MakeAsync(home["images"]);
        string before = await GuestData.Sha256Async(home["images/top.qcow2"]);

        // bash opens the three images and becomes the daemon: its descriptors are all the daemon has of them.
        string script = $"exec 7<>{home["images/top.qcow2"]} 8<{home["images/mid.qcow2"]} 9<{home["images/base.qcow2"]}; exec {Tool.VarveDaemon.Path} \"$@\"";
        await using (DaemonProcess daemon = await DaemonProcess.StartAsync(Tool.Bash, home,
            ["-c", script, "daemon", "--blockdev",
                "driver=qcow2,node-name=top,file.driver=file,file.filename=/dev/fd/7,backing.node-name=mid,backing.driver=qcow2,"
                + "backing.file.driver=file,backing.file.filename=/dev/fd/8,backing.backing.node-name=base,backing.backing.driver=qcow2,"
                + "backing.backing.file.driver=file,backing.backing.file.filename=/dev/fd/9"]))
        {
            Assert.Null(await daemon.StreamAsync("top", "base", backingFile));
            await daemon.TerminateAsync();
        }

        await AssertLeadsToAsync(backingFile is not null, home["images/top.qcow2"], backingFile ?? "/dev/fd/9", home["images/base.qcow2"], before);
    }

    [Theory]
    [InlineData("base.qcow2")]
    [InlineData(null)]
    public async Task An_image_whose_descriptor_came_over_the_QMP_socket(string? backingFile)
    {
        Tool.Require(Tool.QemuImg, Tool.QemuIO, Tool.VarveDaemon);
        using var home = new TempDirectory();
        await Chain.MakeAsync(home["images"]);
        string before = await GuestData.Sha256Async(home["images/top.qcow2"]);

        await using (DaemonProcess daemon = await DaemonProcess.StartAsync(Tool.VarveDaemon, home, []))
        {
            JsonObject? chain = null;
            foreach ((string name, FileAccess access, int set) in new[]
            {
                ("base", FileAccess.Read, 3), ("mid", FileAccess.Read, 2), ("top", FileAccess.ReadWrite, 1),
            })
            {
                using FileStream file = new(home[$"images/{name}.qcow2"], FileMode.Open, access, FileShare.ReadWrite);
                await daemon.Qmp.ExecuteWithDescriptorAsync("add-fd", new JsonObject { ["fdset-id"] = set }, file.SafeFileHandle);
                chain = new JsonObject
                {
                    ["driver"] = "qcow2",
                    ["node-name"] = name,
                    ["file"] = new JsonObject { ["driver"] = "file", ["filename"] = $"/dev/fdset/{set}" },
                    ["backing"] = chain,
                };
            }

            await daemon.ExecuteAsync("blockdev-add", chain);
            Assert.Null(await daemon.StreamAsync("top", "base", backingFile));
            await daemon.TerminateAsync();
        }

        await AssertLeadsToAsync(backingFile is not null, home["images/top.qcow2"], backingFile ?? "/dev/fdset/3", home["images/base.qcow2"], before);
    }

    [Theory]
    [InlineData("file:images/base.qcow2", "file:images/base.qcow2")]
    [InlineData("file:images/base.qcow2", null)]
    [InlineData("""json:{"driver":"qcow2","file":{"driver":"file","filename":"images/base.qcow2"}}""", """json:{"driver":"qcow2","file":{"driver":"file","filename":"images/base.qcow2"}}""")]
    [InlineData("""json:{"driver":"qcow2","file":{"driver":"file","filename":"images/base.qcow2"}}""", null)]
    public async Task A_name_that_is_relative_through_a_protocol_prefix(string midNames, string? backingFile)
    {
        Tool.Require(Tool.QemuImg, Tool.QemuIO, Tool.VarveDaemon);
        using var home = new TempDirectory();
        await Chain.MakeAsync(home["images"], midNames: midNames);

        await using DaemonProcess daemon = await DaemonProcess.StartAsync(Tool.VarveDaemon, home,
            ["--blockdev", "driver=qcow2,node-name=top,file.driver=file,file.filename=images/top.qcow2"]);
        JsonArray nodes = (JsonArray)(await daemon.ExecuteAsync("query-named-block-nodes", new JsonObject { ["flat"] = true }))!;
        string baseNode = (string)nodes.First(n => ((string)n!["file"]!).EndsWith("base.qcow2", StringComparison.Ordinal) && (string?)n["drv"] == "qcow2")!["node-name"]!;
        Assert.Null(await daemon.StreamAsync("top", baseNode, backingFile));
        await daemon.TerminateAsync();

        string top = home["images/top.qcow2"];
        if (backingFile is not null)
        {
            Assert.Equal(backingFile, await Chain.RecordedAsync(top));
            JsonArray chain = await Chain.InfoAsync("images/top.qcow2", home.ToString());
            Assert.Equal(2, chain.Count);
            Assert.Equal("images/base.qcow2", ((string)chain[1]!["filename"]!).Replace("file:", "", StringComparison.Ordinal));
        }
        else
        {
            Assert.EndsWith("images/base.qcow2", await Chain.RecordedAsync(top), StringComparison.Ordinal);
        }
    }

    private static async Task AssertLeadsToAsync(bool leadsThere, string top, string recorded, string expectedBase, string dataBefore)
    {
        Assert.Equal(recorded, await Chain.RecordedAsync(top));
        ToolResult info = await Tool.QemuImg.RunAsync("info", "--backing-chain", top);
        if (!leadsThere)
        {
            Assert.NotEqual(0, info.ExitCode);
            return;
        }

        JsonArray chain = await Chain.InfoAsync(top);
        Assert.Equal(2, chain.Count);
        Assert.Equal(Path.GetFullPath(expectedBase), Path.GetFullPath((string)chain[1]!["filename"]!));
        Assert.Equal(dataBefore, await GuestData.Sha256Async(top));
        Assert.Equal(0, (await Tool.QemuImg.RunAsync("check", top)).ExitCode);
    }
}
