using System.Diagnostics;
using System.Globalization;

namespace Varve.LoadBench;

/// <summary>One program called with its arguments, measured from the start of the process to its end.</summary>
/// <param name="Side">Whose it is: a column of the report.</param>
/// <param name="Program">Its path or name.</param>
/// <param name="Arguments">Its arguments.</param>
internal sealed record Command(string Side, string Program, params string[] Arguments)
{
    /// <summary>How it ends where it did its work: <c>compare</c> says 1 for images that differ.</summary>
    public int ExitCode { get; init; }

    /// <summary>Calls it several times.</summary>
    /// <returns>The median, in milliseconds.</returns>
    public double MedianMilliseconds(int calls)
    {
        double[] times = [.. Enumerable.Range(0, calls).Select(_ => Run(Program, Arguments)).Order()];
        return times[calls / 2];
    }

    /// <summary>Calls it once under time(1), whose own memory is small: what a child had before its exec counts into its peak.</summary>
    /// <param name="directory">Where time may put its answer.</param>
    /// <returns>The time in milliseconds, time's own two or so included, and the memory at its peak.</returns>
    public (double Milliseconds, double PeakKibibytes) MeasureOnce(string directory)
    {
        string output = Path.Combine(directory, "peak");
        double milliseconds = Run("time", ["--quiet", "--format", "%M", "--output", output, Program, .. Arguments]);
        return (milliseconds, double.Parse(File.ReadAllText(output), CultureInfo.InvariantCulture));
    }

    /// <summary>Waits until the directory's file system has nothing left to write.</summary>
    public static void Sync(string directory) => new Command("", "sync", "-f", directory).MedianMilliseconds(calls: 1);

    private double Run(string program, string[] arguments)
    {
        var watch = Stopwatch.StartNew();
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        double milliseconds = watch.Elapsed.TotalMilliseconds;
        if (process.ExitCode == ExitCode) return milliseconds;
        throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} exited with {process.ExitCode}: {error.GetAwaiter().GetResult()}");
    }
}
