using Varve.Tests.Support;

namespace Varve.Tests.Fuzz;

/// <summary>A short run of every fuzz target; eng/fuzz runs longer ones.</summary>
public sealed class FuzzTests
{
    [Fact]
    public async Task A_short_run_of_every_target_finds_nothing()
    {
        using var finds = new TempDirectory();
        Tool.Result targets = await Tool.RunAsync("dotnet", [Assembly, "list"]);
        Tool.Result run = await Tool.RunAsync("dotnet", [Assembly, "all", "--seconds", "0.2", "--output", finds.Path]);
        Assert.True(run.ExitCode == 0, run.Output + run.Error);
        Assert.Equal(targets.Output.Count(c => c == '\n'), run.Output.Split("nothing found").Length - 1);
    }

    /// <summary>Beside our own, in the folder of the same configuration.</summary>
    private static string Assembly
    {
        get
        {
            var framework = new DirectoryInfo(AppContext.BaseDirectory.TrimEnd('/'));
            string tests = framework.Parent!.Parent!.Parent!.Parent!.FullName;
            return Path.Combine(tests, "Varve.Fuzz", "bin", framework.Parent.Name, framework.Name, "Varve.Fuzz.dll");
        }
    }
}
