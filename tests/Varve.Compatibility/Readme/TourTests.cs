using System.Text.RegularExpressions;

namespace Varve.Compatibility.Readme;

/// <summary>The README's three tours, run as written, and the demo.</summary>
public sealed partial class TourTests
{
    private static readonly Tool s_dotnet = new("dotnet", Environment.ProcessPath is { } path && Path.GetFileName(path) == "dotnet" ? path
        : (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Select(d => Path.Combine(d, "dotnet")).FirstOrDefault(File.Exists));

    [Fact]
    public async Task The_library_tour_runs_in_a_fresh_project_that_references_our_packages()
    {
        Tool.Require(s_dotnet);
        using var home = new TempDirectory();
        foreach (string project in new[] { "Varve", "Varve.Nbd", "Varve.Qmp" })
        {
            ToolResult pack = await s_dotnet.RunAsync("pack", Path.Combine(Repository.Root, "src", project), "-c", "Release", "-o", home["feed"], "-v", "quiet");
            Assert.True(pack.ExitCode == 0, pack.Output + pack.Error);
        }

        Directory.CreateDirectory(home["app"]);
        await File.WriteAllTextAsync(home["app/Tour.csproj"], $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
                <Nullable>enable</Nullable>
                <RestoreAdditionalProjectSources>{home["feed"]}</RestoreAdditionalProjectSources>
                <RestorePackagesPath>{home["packages"]}</RestorePackagesPath>
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="Varve" Version="0.1.0" />
                <PackageReference Include="Varve.Nbd" Version="0.1.0" />
                <PackageReference Include="Varve.Qmp" Version="0.1.0" />
              </ItemGroup>
            </Project>
            """);
        await File.WriteAllTextAsync(home["app/Program.cs"], Tour("library"));
        ToolResult run = await s_dotnet.RunInAsync(home["app"], "run");

        Assert.True(run.ExitCode == 0, run.Output + run.Error);
        Assert.Contains("top.qcow2 (qcow2) names base.qcow2", run.Output, StringComparison.Ordinal);
        Assert.Contains("base.qcow2 (qcow2) names nothing", run.Output, StringComparison.Ordinal);
        Assert.Contains("the top names nothing now", run.Output, StringComparison.Ordinal);
        Assert.Contains($"{64 << 20} bytes, as a stream", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_command_line_tour_runs()
    {
        Tool.Require(Tool.Bash, Tool.Varve);
        using var home = new TempDirectory();
        ToolResult run = await RunAsync(home, Tour("command line"));
        Assert.True(run.ExitCode == 0, run.Output + run.Error);
        Assert.Contains("Formatting 'top.qcow2', fmt=qcow2", run.Output, StringComparison.Ordinal);
        Assert.Contains("backing file: base.qcow2", run.Output, StringComparison.Ordinal);
        Assert.Contains("Images are identical.", run.Output, StringComparison.Ordinal);
        Assert.Contains("No errors were found on the image.", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_daemon_tour_runs()
    {
        Tool.Require(Tool.Bash, Tool.Varve);
        using var home = new TempDirectory();
        ToolResult run = await RunAsync(home, Tour("daemon"));
        Assert.True(run.ExitCode == 0, run.Output + run.Error);
        Assert.Contains("BLOCK_JOB_COMPLETED", run.Output, StringComparison.Ordinal);
        Assert.Contains("backing file: base.qcow2", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_demo_keeps_what_it_promises()
    {
        Tool.Require(Tool.Varve);
        var demo = new Tool("Varve.Demo", Path.Combine(Repository.Root, "eng", "Varve.Demo", "bin", "Debug", "net10.0", "Varve.Demo"));
        ToolResult run = await demo.RunAsync(Tool.Varve.Path!);
        Assert.True(run.ExitCode == 0, run.Output + run.Error);
        Assert.Contains("not one byte changed for the guest", run.Output, StringComparison.Ordinal);
        Assert.Contains("the job failed, the header and the running chain are as before, the guest noticed nothing", run.Output, StringComparison.Ordinal);
    }

    private static Task<ToolResult> RunAsync(TempDirectory home, string script)
        => Tool.Bash.RunInAsync(home.ToString(), "-euc", $"PATH={Path.Combine(Repository.Root, "artifacts", "bin")}:$PATH\n{script}");

    /// <summary>The code block behind <c>&lt;!-- tour: name --&gt;</c>, to the letter.</summary>
    private static string Tour(string name)
    {
        string readme = File.ReadAllText(Path.Combine(Repository.Root, "README.md"));
        Match tour = TourBlock().Matches(readme).Single(m => m.Groups["name"].Value == name);
        return tour.Groups["code"].Value;
    }

    [GeneratedRegex(@"<!-- tour: (?<name>[^\n]*?) -->\n```\w+\n(?<code>.*?)```", RegexOptions.Singleline)]
    private static partial Regex TourBlock();
}
