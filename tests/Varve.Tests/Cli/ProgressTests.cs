using System.Diagnostics;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Varve.Cli.Img;
using Varve.Tests.Support;

namespace Varve.Tests.Cli;

/// <summary>How every long command says how far it is: in JSON, as a bar, on <c>-p</c> and on SIGUSR1.</summary>
public sealed partial class ProgressTests : IDisposable
{
    private readonly BothTools _tools = new();

    public void Dispose() => _tools.Dispose();

    public static TheoryData<string, string> LongCommands => new()
    {
        { "amend -o refcount_bits=64 @a.q", "amend" },
        { "amend -o compat=0.10,lazy_refcounts=off @top.q", "amend" },
        { "bench -c 100 -f qcow2 @a.q", "bench" },
        { "check @a.q", "check" },
        { "check -r all @a.q", "check" },
        { "commit @top.q", "commit" },
        { "compare @a.q @a2.q", "compare" },
        { "convert -O raw @a.q @t.raw", "copy" },
        { "create -f qcow2 -o preallocation=full @t.q 2M", "create" },
        { "create -f qcow2 -o preallocation=metadata,cluster_size=4k @t.q 8M", "create" },
        { "create -f raw -o preallocation=full @t.raw 2M", "create" },
        { "dd -O raw if=@a.q of=@t.raw", "copy" },
        { "measure -O qcow2 @a.q", "measure" },
        { "rebase -b @base.q -F qcow2 @top.q", "rebase" },
        { "resize -f raw --preallocation=full @old.raw 4M", "resize" },
        { "resize --preallocation=full @a.q 4M", "resize" },
    };

    [Theory]
    [MemberData(nameof(LongCommands))]
    public async Task Progress_is_told_in_JSON_and_ends_with_everything_done(string line, string phase)
    {
        await PrepareAsync();
        ToolRun run = await _tools.RunOursAsync(line, "--progress=json");
        Assert.Equal(0, run.ExitCode);
        JsonObject last = [];
        foreach (string told in run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            last = JsonNode.Parse(told)!.AsObject();
            Assert.Equal(["bytes", "total", "rate", "phase"], last.Select(p => p.Key));
            Assert.Equal(phase, (string?)last["phase"]);
        }

        Assert.Equal((long?)last["total"], (long?)last["bytes"]);
        Assert.True((long?)last["total"] > 0, run.Error);
    }

    [Theory]
    [InlineData("bench -c 100 -f qcow2 @a.q")]
    [InlineData("check --output=json @a.q")]
    [InlineData("convert -O raw @a.q @t.raw")]
    [InlineData("create -f raw -o preallocation=full @t.raw 2M")]
    public async Task A_bar_goes_to_standard_error_and_leaves_the_output_alone(string line)
    {
        await PrepareAsync();
        string plain = Clock().Replace((await _tools.RunOursAsync(line, "--progress=none")).Output, "");
        ToolRun run = await _tools.RunOursAsync(line, "--progress=bar");
        Assert.Equal((0, plain), (run.ExitCode, Clock().Replace(run.Output, "")));
        Assert.EndsWith("\r\n", run.Error, StringComparison.Ordinal);
        Assert.Contains("[########################################] 100%", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_verb_that_takes_the_option_is_tried_and_the_others_are_done_at_once()
    {
        IEnumerable<string> takes = ImgVerbs.All.Where(v => v.Create().Options.All.Any(o => o.Name == "progress")).Select(v => v.Name);
        Assert.Equal(takes, LongCommands.Select(c => c.Data.Item1.Split(' ')[0]).Distinct().Order(StringComparer.Ordinal));
        Assert.Equal(["bitmap", "info", "map", "snapshot"], ImgVerbs.All.Select(v => v.Name).Except(takes));
    }

    [Fact]
    public async Task None_silences_even_p()
    {
        await PrepareAsync();
        ToolRun run = await _tools.RunOursAsync("convert -p -O raw @a.q @t.raw", "--progress=none");
        Assert.Equal(new ToolRun(0, "", ""), run);
    }

    [Fact]
    public async Task Another_style_is_refused()
    {
        ToolRun run = await _tools.RunOursAsync("check @a.q", "--progress=loud");
        Assert.Equal(new ToolRun(1, "", "qemu-img: --progress must be used with json, bar or none as argument.\n"), run);
    }

    [Theory]
    [InlineData("check -p @a.q")]
    [InlineData("create -p -f raw @t.raw 1M")]
    [InlineData("resize -p @a.q 4M")]
    [InlineData("bench -p @a.q")]
    public async Task P_is_refused_where_the_reference_refuses_it(string line)
    {
        (ToolRun expected, ToolRun actual) = await _tools.RunAsync(line);
        Assert.Equal((expected.ExitCode, expected.Error.Split('\n')[0]), (actual.ExitCode, actual.Error.Split('\n')[0]));
    }

    [Fact]
    public async Task SIGUSR1_prints_a_line_as_the_reference_does()
    {
        await _tools.PrepareAsync("img create -q -f raw @a.raw 12M", "io a.raw write -P 1 0 12M");
        string theirs = await AskTwiceAsync("qemu-img", "convert", "-r", "6M", "-f", "raw", "-O", "raw", _tools["a.raw"], _tools["t1.raw"]);
        string ours = await AskTwiceAsync(
            "dotnet", typeof(ImgTool).Assembly.Location, "img", "convert", "-r", "6M", "-f", "raw", "-O", "raw", _tools["a.raw"], _tools["t2.raw"]);
        Assert.Matches(@"^(    \([0-9]+\.[0-9]{2}/100%\)\n)+$", theirs);
        Assert.Matches(@"^(    \([0-9]+\.[0-9]{2}/100%\)\n)+$", ours);
    }

    /// <summary>Sends SIGUSR1 twice while a program runs; what it printed on standard error. It must live on and print nothing else.</summary>
    private static async Task<string> AskTwiceAsync(string program, params string[] arguments)
    {
        using Process process = Tool.Start(program, arguments);
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        await WaitForFileAsync(arguments[^1], process);
        for (int i = 0; i < 2; i++)
        {
            await Tool.RunAsync("kill", "-USR1", $"{process.Id}");
            await Task.Delay(300);
        }

        await process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal((0, ""), (process.ExitCode, await output));
        return await error;
    }

    /// <summary>Once the target is there the program is at work.</summary>
    private static async Task WaitForFileAsync(string name, Process process)
    {
        while (!process.HasExited && (!File.Exists(name) || new FileInfo(name).Length == 0)) await Task.Delay(20);
    }

    private Task PrepareAsync() => _tools.PrepareAsync(
        "img create -q -f qcow2 @base.q 2M", "io base.q write -P 1 0 1M", "img create -q -f qcow2 @a.q 2M", "io a.q write -P 2 64k 900k",
        "img create -q -f qcow2 -b @base.q -F qcow2 @top.q", "io top.q write -P 4 0 100k", "img convert -O qcow2 @a.q @a2.q", "img create -q -f raw @old.raw 2M");

    /// <summary>How long a benchmark took.</summary>
    [GeneratedRegex("[0-9.]+ seconds")]
    private static partial Regex Clock();
}
