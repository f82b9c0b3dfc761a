using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Varve.Tests.Support;

/// <summary>A tool of the reference, run to compare with it. Tests that need one that is missing are skipped by its name.</summary>
internal static class ReferenceTool
{
    /// <summary>Runs a tool and returns what it printed; a failing one fails the test with its output.</summary>
    public static string Run(string tool, params string[] arguments)
    {
        (int exitCode, string output) = TryRun(tool, arguments);
        Assert.True(exitCode == 0, $"{tool} {string.Join(' ', arguments)} exited with {exitCode}: {output}");
        return output;
    }

    /// <summary>What an image, backing images left out, says it holds or knows to be zeros: <c>START+LENGTH</c> for each range.</summary>
    public static string AllocatedRanges(string path)
        => string.Join(' ', JsonNode.Parse(Run("qemu-img", "map", "--output=json", path))!.AsArray()
            .Where(e => (bool)e!["present"]! && (int)e["depth"]! == 0).Select(e => $"{e!["start"]}+{e["length"]}"));

    /// <summary>Runs a tool; returns its exit code and what it printed to both streams.</summary>
    public static (int ExitCode, string Output) TryRun(string tool, params string[] arguments)
    {
        Assert.SkipUnless(IsInstalled(tool), $"{tool} is not installed");
        var start = new ProcessStartInfo("/bin/sh", ["-c", "exec \"$0\" \"$@\" 2>&1", tool, .. arguments]) { RedirectStandardOutput = true };
        start.Environment["LC_ALL"] = "C";
        using Process process = Process.Start(start)!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output);
    }

    public static bool IsInstalled(string tool)
        => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists(Path.Combine(folder, tool)));
}

/// <summary>A folder of one test, gone when the test is over.</summary>
internal sealed class TestFolder : IDisposable
{
    private readonly string _path = Directory.CreateTempSubdirectory("varve-test-").FullName;

    public string this[string name] => Path.Combine(_path, name);

    public void Dispose() => Directory.Delete(_path, recursive: true);
}
