using System.Text.RegularExpressions;
using Varve.Compatibility.Support;
using Varve.Tests.Hostile;

namespace Varve.Compatibility.Untrusted;

/// <summary>Looking at a hostile image, and opening it while nothing it names may be followed, opens no other file and no socket: the
/// kernel's word for it, by strace.</summary>
public sealed partial class NothingElseIsOpenedTests : IDisposable
{
    private readonly TempDirectory _folder = new();

    /// <summary>Calls that open, look up or talk. All of them with a name are reported with it.</summary>
    private const string Traced = "trace=%file,%network,openat2";

    [Fact]
    public async Task Opening_with_the_policy_of_nothing_opens_the_named_images_only()
    {
        string opener = Path.Combine(Repository.Root, "tests", "Varve.Opener", "bin", "Debug", "net10.0", "Varve.Opener");
        await AssertNothingElseAsync(images => (opener, images));
    }

    [Fact]
    public async Task Inspecting_opens_the_named_image_only()
    {
        Tool.Require(Tool.Varve);
        foreach (HostileImage image in HostileCorpus.All.Where(i => i.Code.StartsWith("backing", StringComparison.Ordinal) || i.Code.StartsWith("data-file", StringComparison.Ordinal) || i.Code == "extent"))
        {
            await AssertNothingElseAsync(images => (Tool.Varve.Path!, ["inspect", .. images]), [image]);
        }
    }

    /// <summary>The same program on a harmless image shows what the runtime opens for itself.</summary>
    private async Task AssertNothingElseAsync(Func<string[], (string Program, string[] Arguments)> command, IReadOnlyList<HostileImage>? images = null)
    {
        Tool.Require(Tool.Strace);
        string[] paths = [.. (images ?? HostileCorpus.All).Select((image, i) => Write($"image{i}", image.Bytes))];
        HashSet<string> harmless = await TraceAsync(command([Write("harmless", new HostileQcow2().Bytes)]));
        HashSet<string> hostile = await TraceAsync(command(paths));
        Assert.Contains(paths[0], hostile);
        hostile.ExceptWith(harmless);
        hostile.ExceptWith(paths);
        hostile.RemoveWhere(IsOfTheRuntime);
        Assert.Empty(hostile);
    }

    /// <summary>Assemblies loaded when first needed, what the runtime and the C library's allocator read about the machine, and the seed of the runtime's hash
    /// codes.</summary>
    private static bool IsOfTheRuntime(string what)
        => what.EndsWith(".dll", StringComparison.Ordinal) || what.Contains(".so", StringComparison.Ordinal)
            || what.StartsWith("/sys/", StringComparison.Ordinal) || what is "/proc/sys/vm/overcommit_memory" or "/dev/urandom" || OwnProcess().IsMatch(what);

    /// <summary>What of <c>/proc</c> is a process's own; its descriptors lead to what it has open already.</summary>
    [GeneratedRegex("^/proc/(self|[0-9]+)($|/(maps|stat|status|smaps|task|cgroup|mountinfo|exe|fd))")]
    private static partial Regex OwnProcess();

    /// <summary>Runs a program and returns every path it looked up, and every network call it made, as <c>socket(...</c>.</summary>
    private async Task<HashSet<string>> TraceAsync((string Program, string[] Arguments) command)
    {
        string log = _folder["trace"];
        ToolResult run = await Tool.Strace.RunAsync(
            ["-f", "-qq", "-s", "4096", "-E", "DOTNET_EnableDiagnostics=0", "-e", Traced, "-o", log, command.Program, .. command.Arguments]);
        Assert.True(File.Exists(log) && new FileInfo(log).Length > 0, run.Error);
        var found = new HashSet<string>(StringComparer.Ordinal);
        foreach (string line in await File.ReadAllLinesAsync(log))
        {
            if (Network().Match(line) is { Success: true } network) found.Add(network.Value);
            else if (Name().Match(line) is { Success: true } name) found.Add(name.Groups[1].Value);
        }

        return found;
    }

    [GeneratedRegex(@"\b(socket|connect|bind|sendto|sendmsg|accept4?|listen|socketpair)\(.*")]
    private static partial Regex Network();

    [GeneratedRegex("\"((?:[^\"\\\\]|\\\\.)*)\"")]
    private static partial Regex Name();

    private string Write(string name, byte[] bytes)
    {
        File.WriteAllBytes(_folder[name], bytes);
        return _folder[name];
    }

    public void Dispose() => _folder.Dispose();
}
