using System.Diagnostics;

namespace Varve.Compatibility.OtherProjects;

/// <summary>Programs and scripts of other projects that shell out to qemu-img, with ours first on the path.</summary>
/// <remarks>Each call is noted by a wrapper, so that a program that found another qemu-img, or none, does not pass.</remarks>
public sealed class DropInTests : IDisposable
{
    private static readonly Tool s_guestfish = Tool.Named("guestfish"), s_sparsify = Tool.Named("virt-sparsify"), s_cloudLocalds = Tool.Named("cloud-localds");

    private readonly TempDirectory _home = new();

    public void Dispose() => _home.Dispose();

    [Fact]
    public async Task Guestfish_creates_and_describes_disks_with_our_qemu_img_as_with_the_reference()
    {
        Tool.Require(s_guestfish, Tool.VarveImg, Tool.QemuImg);
        const string script = """
            disk-create base.qcow2 qcow2 64M
            disk-create top.qcow2 qcow2 -1 backingfile:base.qcow2 backingformat:qcow2 compat:1.1 clustersize:65536
            disk-create full.qcow2 qcow2 32M preallocation:metadata
            disk-create old.qcow2 qcow2 8M compat:0.10
            disk-create flat.img raw 1M preallocation:full
            disk-format top.qcow2
            disk-virtual-size top.qcow2
            disk-has-backing-file top.qcow2
            disk-has-backing-file base.qcow2
            disk-format flat.img
            """;
        (ToolResult ours, string[] calls) = await RunAsync(s_guestfish, "ours", script, useOurs: true);
        (ToolResult theirs, _) = await RunAsync(s_guestfish, "theirs", script, useOurs: false);

        Assert.True(ours.ExitCode == 0, ours.Error);
        Assert.Equal(theirs.Output, ours.Output);
        Assert.Contains(calls, c => c.StartsWith("create -f qcow2 -o backing_file=base.qcow2", StringComparison.Ordinal));
        Assert.Contains(calls, c => c.StartsWith("info ", StringComparison.Ordinal));
        foreach (string image in new[] { "base.qcow2", "top.qcow2", "full.qcow2", "old.qcow2" })
        {
            Assert.Contains("No errors were found", (await Tool.QemuImg.RunAsync("check", _home["ours/" + image])).Succeeded, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Cloud_localds_makes_a_seed_disk_through_our_convert()
    {
        Tool.Require(s_cloudLocalds, Tool.VarveImg, Tool.QemuImg);
        Directory.CreateDirectory(_home["work"]);
        await File.WriteAllTextAsync(_home["work/user-data"], "#cloud-config\nhostname: varve\n", TestContext.Current.CancellationToken);
        (ToolResult made, string[] calls) = await RunAsync(s_cloudLocalds, "work", "", useOurs: true, "--disk-format", "qcow2", "seed.qcow2", "user-data");

        Assert.True(made.ExitCode == 0, made.Output + made.Error);
        Assert.Contains(calls, c => c.StartsWith("convert -f raw -O qcow2", StringComparison.Ordinal));
        Assert.Contains("No errors were found", (await Tool.QemuImg.RunAsync("check", _home["work/seed.qcow2"])).Succeeded, StringComparison.Ordinal);
        (await Tool.QemuImg.RunAsync("convert", "-O", "raw", _home["work/seed.qcow2"], _home["work/seed.iso"])).Succeeded.ToString();
        byte[] iso = await File.ReadAllBytesAsync(_home["work/seed.iso"], TestContext.Current.CancellationToken);
        Assert.True(iso.AsSpan().IndexOf("hostname: varve"u8) > 0, "the seed holds the user data");
    }

    [Fact]
    public async Task Virt_sparsify_boots_its_appliance_on_our_overlay_and_converts_with_us()
    {
        Tool.Require(s_sparsify, Tool.QemuSystem, Tool.VarveImg, Tool.QemuImg, Tool.Named("mkfs.ext4"));
        Directory.CreateDirectory(_home["work"]);
        Directory.CreateDirectory(_home["content"]);
        await File.WriteAllBytesAsync(_home["content/kept"], [.. Enumerable.Range(0, 300_000).Select(i => (byte)(i * 31))], TestContext.Current.CancellationToken);
        using (FileStream disk = File.Create(_home["work/disk.img"])) disk.SetLength(64 << 20);
        (await Tool.Named("mkfs.ext4").RunAsync("-q", "-d", _home["content"], _home["work/disk.img"])).Succeeded.ToString();

        (ToolResult made, string[] calls) = await RunAsync(
            s_sparsify, "work", "", useOurs: true, "--tmp", _home["work"], "--convert", "qcow2", "--format", "raw", "disk.img", "sparse.qcow2");

        Assert.True(made.ExitCode == 0, made.Output + made.Error);
        Assert.Contains(calls, c => c.StartsWith("create ", StringComparison.Ordinal));    // the overlay that protects the source
        Assert.Contains(calls, c => c.StartsWith("convert ", StringComparison.Ordinal));
        Assert.Contains("No errors were found", (await Tool.QemuImg.RunAsync("check", _home["work/sparse.qcow2"])).Succeeded, StringComparison.Ordinal);
        (await Tool.QemuImg.RunAsync("convert", "-O", "raw", _home["work/sparse.qcow2"], _home["work/flat.img"])).Succeeded.ToString();
        ToolResult fsck = await Tool.Named("fsck.ext4").RunAsync("-fn", _home["work/flat.img"]);
        Assert.True(fsck.ExitCode == 0, fsck.Output);
        ToolResult kept = await Tool.Named("debugfs").RunAsync("-R", $"dump /kept {_home["work/kept"]}", _home["work/flat.img"]);
        Assert.True(kept.ExitCode == 0, kept.Error);
        Assert.Equal(await File.ReadAllBytesAsync(_home["content/kept"], TestContext.Current.CancellationToken),
            await File.ReadAllBytesAsync(_home["work/kept"], TestContext.Current.CancellationToken));
    }

    /// <summary>Runs a program with a qemu-img of our choice first on its path.</summary>
    /// <returns>What it said, and the command lines its qemu-img was called with.</returns>
    private async Task<(ToolResult Result, string[] Calls)> RunAsync(Tool program, string directory, string input, bool useOurs, params string[] arguments)
    {
        Directory.CreateDirectory(_home[directory]);
        string bin = _home["bin-" + directory], log = _home["calls-" + directory], wrapper = Path.Combine(bin, "qemu-img");
        Directory.CreateDirectory(bin);
        await File.WriteAllTextAsync(log, "");
        await File.WriteAllTextAsync(wrapper, $"#!/bin/sh\necho \"$*\" >>{log}\nexec {(useOurs ? Tool.VarveImg : Tool.QemuImg).Path} \"$@\"\n");
        (await Tool.Named("chmod").RunAsync("+x", wrapper)).Succeeded.ToString();
        ProcessStartInfo start = program.StartInfo(arguments);
        start.WorkingDirectory = _home[directory];
        start.Environment["PATH"] = $"{bin}:{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin";
        start.Environment["LIBGUESTFS_BACKEND"] = "direct";
        start.Environment["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg";   // /dev/kvm may be there and not work: a guest of a guest
        start.Environment["TMPDIR"] = "/var/tmp";   // where the appliance is kept; a socket's name has to be short
        ToolResult result = await Tool.RunAsync(program, start, input, TimeSpan.FromMinutes(10));
        return (result, await File.ReadAllLinesAsync(log));
    }
}
