using System.Globalization;

namespace Varve.Fuzz;

/// <summary>The command line: a target, and for how long.</summary>
internal static class Program
{
    private const string Usage = """
        usage: Varve.Fuzz TARGET [--seconds N] [--seed N] [--output FOLDER]
               Varve.Fuzz TARGET --replay FILE
               Varve.Fuzz all [--seconds N]          each target in turn
               Varve.Fuzz list

        --seconds    of processor time, for each target (10)
        --seed       decides the inputs, but for what coverage and timing add (0)
        --output     where an input that finds something is written (artifacts/fuzz)
        """;

    private static int Main(string[] arguments)
    {
        string? name = arguments.FirstOrDefault(), replay = null, output = Path.Combine("artifacts", "fuzz");
        int seed = 0;
        double seconds = 10;
        for (int i = 1; i < arguments.Length; i++)
        {
            string? value = i + 1 < arguments.Length ? arguments[i + 1] : null;
            switch (arguments[i])
            {
                case "--seconds" when value is not null: seconds = double.Parse(value, CultureInfo.InvariantCulture); break;
                case "--seed" when value is not null: seed = int.Parse(value, CultureInfo.InvariantCulture); break;
                case "--replay" when value is not null: replay = value; break;
                case "--output" when value is not null: output = value; break;
                default: return Help();
            }

            i++;
        }

        if (name == "list")
        {
            foreach (FuzzTarget target in FuzzTarget.All) Console.WriteLine(target.Name);
            return 0;
        }

        FuzzTarget[] targets = [.. FuzzTarget.All.Where(t => name == "all" || t.Name == name)];
        if (targets.Length == 0) return Help();
        bool isFine = true;
        foreach (FuzzTarget target in targets)
        {
            var fuzzer = new Fuzzer(target, seed, TimeSpan.FromSeconds(seconds), output);
            isFine &= replay is null ? fuzzer.Run() : fuzzer.Replay(File.ReadAllBytes(replay));
        }

        return isFine ? 0 : 1;
    }

    private static int Help()
    {
        Console.Error.WriteLine(Usage);
        return 2;
    }
}
