using System.Globalization;
using Varve.Tests.Support;

namespace Varve.Tests.Simulation;

/// <summary>The crash simulator, in processes of its own: it needs a thread pool of one thread to be repeatable.</summary>
public sealed class SimulationTests
{
    /// <summary>Seeds of the big run: 2,000 on a build server, fewer beside a developer's other tests.</summary>
    private static int Seeds => Environment.GetEnvironmentVariable("CI") == "true" ? 2000 : 200;

    [Fact]
    public async Task Chains_survive_power_loss_at_every_request()
    {
        (int exitCode, string output) = await RunAsync("--seeds", Seeds.ToString(CultureInfo.InvariantCulture), "--parallel");
        Assert.True(exitCode == 0, output);
        Assert.Contains(" 0 failed", output);
    }

    /// <param name="canary">The order that is broken.</param>
    /// <param name="atLeast">How many of the seeds find it.</param>
    /// <param name="findings">What they find, in some seed each.</param>
    [Theory]
    [InlineData("links", 15, "refcount=0 reference=1")]
    [InlineData("header", 8, "after power loss: ")]
    [InlineData("data", 30, "after power loss: ")]
    [InlineData("resize", 8, "refcount=0 reference=1", "after power loss: ", "cannot be used")]
    [InlineData("snapshots", 20, "is lost", "OFLAG_COPIED", "after power loss: ")]
    [InlineData("bitmaps", 5, "misses sector")]
    [InlineData("repair", 6, "repair: image 0: ERROR cluster 0 refcount=0 reference=1")]
    [InlineData("keys", 15, "no passphrase opens the disk", "although it was erased", "does not open the disk")]
    public async Task A_wrong_order_of_metadata_is_found(string canary, int atLeast, params string[] findings)
    {
        (int exitCode, string output) = await RunAsync("--seeds", "40", "--canary", canary, "--keep-going");
        Assert.Equal(1, exitCode);
        string[] found = [.. output.Split('\n').Where(l => l.StartsWith("seed ", StringComparison.Ordinal))];
        Assert.True(found.Length >= atLeast, output);
        foreach (string finding in findings) Assert.Contains(found, f => f.Contains(finding, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(24)]
    public async Task One_seed_is_one_run(int seed)
    {
        string text = seed.ToString(CultureInfo.InvariantCulture);
        (_, string first) = await RunAsync("--seed", text);
        (_, string second) = await RunAsync("--seed", text);
        Assert.Contains("trace ", first);
        Assert.Equal(first, second);
    }

    private static async Task<(int ExitCode, string Output)> RunAsync(params string[] arguments)
    {
        string assembly = Path.Combine(AppContext.BaseDirectory, "Varve.Simulation.dll");
        Tool.Result result = await Tool.RunAsync("dotnet", [assembly, .. arguments]);
        return (result.ExitCode, result.Output + result.Error);
    }
}
