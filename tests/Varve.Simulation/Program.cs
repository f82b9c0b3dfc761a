using System.Diagnostics;
using System.Globalization;

namespace Varve.Simulation;

/// <summary>The command line: one seed again and again, or many.</summary>
internal static class Program
{
    private const string Usage = """
        usage: Varve.Simulation --seed N             replay one seed, and say what it did
               Varve.Simulation --seeds COUNT        seeds 0 to COUNT - 1
               Varve.Simulation --from N --count M   seeds N to N + M - 1
               --canary NAME                         on a disk that breaks an order: something must be found
               --parallel                            one process for each processor
               --keep-going                          do not stop at the first failure
        """;

    private static async Task<int> Main(string[] arguments)
    {
        var options = new Dictionary<string, string?>();
        for (int i = 0; i < arguments.Length; i++)
        {
            bool hasValue = arguments[i] is "--seed" or "--seeds" or "--from" or "--count" or "--canary";
            if (!hasValue && arguments[i] is not ("--parallel" or "--keep-going")) return Help();
            options[arguments[i]] = hasValue && i + 1 < arguments.Length ? arguments[++i] : null;
        }

        var canary = Canary.None;
        if (options.TryGetValue("--canary", out string? kind) && !Enum.TryParse(kind, ignoreCase: true, out canary)) return Help();
        if (options.TryGetValue("--seed", out string? seed)) return await ReplayAsync(Number(seed), canary);
        int from = options.TryGetValue("--from", out string? first) ? Number(first) : 0;
        if (!options.TryGetValue("--count", out string? count) && !options.TryGetValue("--seeds", out count)) return Help();
        return options.ContainsKey("--parallel")
            ? await RunProcessesAsync(from, Number(count), canary, options.ContainsKey("--keep-going"))
            : await RunManyAsync(from, Number(count), canary, options.ContainsKey("--keep-going"));
    }

    private static async Task<int> ReplayAsync(int seed, Canary canary)
    {
        Scenario scenario = Scenario.Of(seed, canary);
        Console.WriteLine(scenario);
        Outcome outcome = await Task.Run(new Simulation(scenario).RunAsync);
        Console.WriteLine($"seed {seed}: {outcome.Boundaries} requests, {outcome.Survivors} survivors, trace {outcome.Trace:x16}");
        Console.WriteLine(outcome.Failure ?? "nothing wrong");
        return outcome.Failure is null ? 0 : 1;
    }

    private static async Task<int> RunManyAsync(int from, int count, Canary canary, bool keepsGoing)
    {
        var clock = Stopwatch.StartNew();
        int failures = 0;
        long survivors = 0, boundaries = 0;
        for (int seed = from; seed < from + count; seed++)
        {
            Scenario scenario = Scenario.Of(seed, canary);
            Outcome outcome = await Task.Run(new Simulation(scenario).RunAsync);
            survivors += outcome.Survivors;
            boundaries += outcome.Boundaries;
            if (outcome.Failure is null) continue;
            failures++;
            Console.WriteLine($"seed {seed} failed: {outcome.Failure}");
            if (!keepsGoing) break;
        }

        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"seeds {from}..{from + count - 1}: {failures} failed, {survivors} survivors of {boundaries} requests, {clock.Elapsed.TotalSeconds:0.0} s"));
        return failures == 0 ? 0 : 1;
    }

    /// <summary>Each process runs its seeds on one thread; so many processors, so many processes.</summary>
    private static async Task<int> RunProcessesAsync(int from, int count, Canary canary, bool keepsGoing)
    {
        string[] flags = keepsGoing ? ["--canary", $"{canary}", "--keep-going"] : ["--canary", $"{canary}"];
        int processes = Math.Min(Environment.ProcessorCount, count), done = 0;
        var running = new List<Process>();
        for (int i = 0; i < processes; i++)
        {
            int share = (count - done) / (processes - i);
            running.Add(Process.Start(
                Environment.ProcessPath!, [.. OwnArguments(), "--from", $"{from + done}", "--count", $"{share}", .. flags]));
            done += share;
        }

        await Task.WhenAll(running.Select(p => p.WaitForExitAsync()));
        return running.Max(p => p.ExitCode);
    }

    /// <summary>Started as <c>dotnet Varve.Simulation.dll</c>, the host needs the name of the assembly again.</summary>
    private static IEnumerable<string> OwnArguments()
        => Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? [typeof(Program).Assembly.Location] : [];

    private static int Number(string? text)
        => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : throw new ArgumentException(Usage);

    private static int Help()
    {
        Console.Error.WriteLine(Usage);
        return 2;
    }
}
