using System.Text.RegularExpressions;
using Varve.Tests.Support;

namespace Varve.Tests.Cli;

/// <summary>Runs the same command lines with the reference's <c>qemu-img</c> and with ours, each in a folder of its own.</summary>
/// <remarks>A line is split at spaces; <c>@name</c> is a file of the folder, <c>''</c> an empty argument.</remarks>
internal sealed partial class BothTools : IDisposable
{
    private readonly ImgFolder _reference = new(), _ours = new();

    /// <summary>Prepares both folders with the reference's tools: <c>img ...</c> or <c>io FILE COMMAND</c>.</summary>
    public async Task PrepareAsync(params string[] lines)
    {
        foreach (string line in lines)
        {
            foreach (ImgFolder folder in new[] { _reference, _ours })
            {
                (string program, string[] arguments) = line.Split(' ', 3) is ["io", { } file, { } command]
                    ? ("qemu-io", new[] { "-c", command, folder[file] })
                    : ("qemu-img", Split(folder, line[(line.IndexOf(' ', StringComparison.Ordinal) + 1)..]));
                ToolRun run = await ToolRun.ReferenceAsync(program, arguments);
                Assert.True(run.ExitCode == 0, $"{line}: {run.Error}");
            }
        }
    }

    /// <summary>Runs a line with both: exit status, output and errors are the same.</summary>
    public async Task SameAsync(string line)
    {
        (ToolRun expected, ToolRun actual) = await RunAsync(line);
        Assert.Equal((line, expected), (line, actual));
    }

    /// <summary>Runs a line with both; what may differ is taken out of what they print.</summary>
    public async Task<(ToolRun Expected, ToolRun Actual)> RunAsync(string line)
        => (Comparable(await ToolRun.ReferenceAsync("qemu-img", Split(_reference, line)), _reference),
            Comparable(await ToolRun.ImgAsync(Split(_ours, line)), _ours));

    /// <summary>Runs a line with ours alone, with one more option behind the verb.</summary>
    public async Task<ToolRun> RunOursAsync(string line, string option)
    {
        List<string> arguments = [.. Split(_ours, line)];
        arguments.Insert(1, option);
        return await ToolRun.ImgAsync([.. arguments]);
    }

    /// <summary>The names of files in both folders that begin with a prefix; they are deleted.</summary>
    public (string Expected, string Actual) TakeLeftovers(params string[] prefixes) => (TakeLeftovers(_reference, prefixes), TakeLeftovers(_ours, prefixes));

    private static string TakeLeftovers(ImgFolder folder, string[] prefixes)
    {
        string[] found = [.. Directory.GetFiles(folder[""]).Where(f => prefixes.Any(Path.GetFileName(f).StartsWith)).Order(StringComparer.Ordinal)];
        Array.ForEach(found, File.Delete);
        return string.Join(' ', found.Select(Path.GetFileName));
    }

    /// <summary>A file of both folders shows the same guest data, and ours is without fault to the reference.</summary>
    public async Task SameDataAsync(string name, string format)
    {
        ToolRun compared = await ToolRun.ReferenceAsync("qemu-img", "compare", "-f", format, "-F", format, _reference[name], _ours[name]);
        Assert.Equal("Images are identical.\n", compared.Output + compared.Error);
        if (format != "raw") Assert.Equal(0, (await ToolRun.ReferenceAsync("qemu-img", "check", "-f", format, _ours[name])).ExitCode);
    }

    /// <summary>A file of both folders holds the same ranges, wherever it holds them.</summary>
    public void SameAllocation(string name) => Assert.Equal(ReferenceTool.AllocatedRanges(_reference[name]), ReferenceTool.AllocatedRanges(_ours[name]));

    /// <summary>The path of a file in our folder.</summary>
    public string this[string name] => _ours[name];

    public void Dispose()
    {
        _reference.Dispose();
        _ours.Dispose();
    }

    private static string[] Split(ImgFolder folder, string line)
        => [.. line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(a => a == "''" ? "" : FileName().Replace(a, m => folder[m.Groups[1].Value]))];

    private static ToolRun Comparable(ToolRun run, ImgFolder folder) => run with
    {
        Output = Comparable(run.Output, folder),
        Error = Holder().Replace(Comparable(run.Error, folder), "").TrimEnd('\n'),   // the reference forgets the last one after some hints
    };

    private static string Comparable(string text, ImgFolder folder)
        => NodeName().Replace(Progress().Replace(text, ""), "NODE").Replace(folder[""], "", StringComparison.Ordinal);

    [GeneratedRegex("@([a-z0-9.-]+)")]
    private static partial Regex FileName();

    /// <summary>How often progress is told is a matter of pieces and of time.</summary>
    [GeneratedRegex(@"    \([0-9.]+/100%\)\r")]
    private static partial Regex Progress();

    /// <summary>Names made up count on from another number.</summary>
    [GeneratedRegex("#block[0-9]+")]
    private static partial Regex NodeName();

    /// <summary>Only ours says who it is, and what to do.</summary>
    [GeneratedRegex(@"It is locked by .*\n((Option -U|Try again when|Stop who) .*\n)?")]
    private static partial Regex Holder();
}
