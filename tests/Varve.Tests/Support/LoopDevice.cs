using System.Diagnostics;

namespace Varve.Tests.Support;

/// <summary>A block device over a file of our own; a test that needs one is skipped where none can be had.</summary>
internal sealed class LoopDevice : IDisposable
{
    private readonly string _file = Path.Combine(Path.GetTempPath(), $"varve-loop-{Guid.NewGuid():N}");

    private LoopDevice(string path) => DevicePath = path;

    /// <summary><c>/dev/loopN</c>.</summary>
    public string DevicePath { get; private set; }

    /// <summary>The file behind it.</summary>
    public string BackingFile => _file;

    public static LoopDevice Make(long length, params string[] options)
    {
        Tool.Need("losetup");
        var device = new LoopDevice("");
        using (FileStream file = File.Create(device._file)) file.SetLength(length);
        var start = new ProcessStartInfo("losetup", ["--find", "--show", .. options, device._file]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        device.DevicePath = process.StandardOutput.ReadToEnd().Trim();
        process.WaitForExit();
        if (process.ExitCode == 0) return device;
        File.Delete(device._file);
        Assert.Skip("losetup: no loop device may be made here");
        throw new UnreachableException();
    }

    public void Dispose()
    {
        using (Process process = Process.Start("losetup", ["--detach", DevicePath])) process.WaitForExit();
        File.Delete(_file);
    }
}
