using System.Diagnostics;
using System.Text.RegularExpressions;

namespace Varve.Fuzz;

/// <summary>Runs a target on inputs made out of inputs, keeps the ones that did something new, and stops at the first find.</summary>
/// <remarks>Something new: a branch, where the code is instrumented; an ending, numbers aside, always.</remarks>
internal sealed partial class Fuzzer(FuzzTarget target, int seed, TimeSpan processorTime, string folder)
{
    /// <summary>One input may take this much processor time, and on a machine that has other things to do so long, if it waits.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60), s_waiting = TimeSpan.FromMinutes(15);

    private readonly Coverage _coverage = new();
    private readonly HashSet<string> _endings = new(StringComparer.Ordinal);
    private readonly List<byte[]> _corpus = [];
    private long _began = Stopwatch.GetTimestamp();
    private TimeSpan _usedBefore;
    private byte[]? _watched, _current;

    /// <summary>Inputs run so far.</summary>
    public long Executions { get; private set; }

    /// <summary>Runs until the time is up.</summary>
    /// <returns>Whether nothing was found.</returns>
    public bool Run()
    {
        AppDomain.CurrentDomain.UnhandledException += (_, e) => Report(((Exception)e.ExceptionObject).ToString());
        using var watch = new Timer(_ => Watch(), null, s_patience / 4, s_patience / 4);
        var random = new Random(seed);
        var mutator = new Mutator(target, random);
        TimeSpan before = Process.GetCurrentProcess().TotalProcessorTime;
        foreach (byte[] input in target.Seeds)
        {
            if (!Try(input, isSeed: true)) return false;
        }

        int seeds = _corpus.Count;
        for (int i = 0; ; i++)
        {
            if (i % 64 == 0 && Process.GetCurrentProcess().TotalProcessorTime - before >= processorTime) break;
            if (!Try(mutator.Mutate(Pick(random), Pick(random)), isSeed: false)) return false;
        }

        TimeSpan used = Process.GetCurrentProcess().TotalProcessorTime - before;
        string branches = _coverage.Edges > 0 ? $", {_coverage.Edges} branches" : "";
        Console.WriteLine($"{target.Name}: {Executions} executions in {used.TotalSeconds:0} s of processor time, {seeds} seeds, "
            + $"{_corpus.Count - seeds} inputs kept, {_endings.Count} endings{branches}; nothing found (seed {seed})");
        return true;
    }

    /// <summary>Runs one input again.</summary>
    public bool Replay(byte[] input)
    {
        bool isFine = Try(input, isSeed: false);
        if (isFine) Console.WriteLine($"{target.Name}: {_endings.Single()}");
        return isFine;
    }

    /// <summary>The newest inputs are tried more often.</summary>
    private byte[] Pick(Random random)
        => _corpus[random.Next(2) == 0 ? random.Next(_corpus.Count) : Math.Max(_corpus.Count - 1 - random.Next(32), 0)];

    private bool Try(byte[] input, bool isSeed)
    {
        Executions++;
        _began = Stopwatch.GetTimestamp();
        Volatile.Write(ref _current, input);
        _coverage.Begin();
        string ending;
        try
        {
            AllocationLimit.Begin();
            ending = target.Run(input);
            AllocationLimit.Check();
        }
        catch (BlockException e)
        {
            ending = e.Message;
        }
        catch (Exception e)
        {
            Report(e.ToString());
            return false;
        }

        bool isNew = _coverage.TakeNews();
        isNew |= _endings.Count < 10_000 && _endings.Add(Numbers().Replace(ending.Length > 200 ? ending[..200] : ending, "#"));
        if (isNew || isSeed) _corpus.Add(input);
        Volatile.Write(ref _current, null);
        return true;
    }

    private void Watch()
    {
        byte[]? input = Volatile.Read(ref _current);
        TimeSpan used = Process.GetCurrentProcess().TotalProcessorTime;
        if (input != _watched) (_watched, _usedBefore) = (input, used);      // from the first look at it on
        if (input is null || (used - _usedBefore < s_patience && Stopwatch.GetElapsedTime(_began) < s_waiting)) return;
        Report($"not done after {(used - _usedBefore).TotalSeconds:0} s of processor time");
        Environment.Exit(1);
    }

    /// <summary>Writes the input down, and says how to run it again.</summary>
    private void Report(string what)
    {
        if (Interlocked.Exchange(ref _current, null) is not { } input) return;
        Directory.CreateDirectory(folder);
        string path = Path.Combine(folder, $"{target.Name}-{Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(input))[..12]}");
        File.WriteAllBytes(path, input);
        Console.WriteLine($"{target.Name}: found after {Executions} executions: {what}\nreplay: dotnet run --project tests/Varve.Fuzz -- {target.Name} --replay {path}");
    }

    [GeneratedRegex("[0-9]+|'[^']*'|0x[0-9a-f]+")]
    private static partial Regex Numbers();
}
