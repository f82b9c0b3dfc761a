using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Varve.LoadBench;

/// <summary>Collects measurements and prints their medians as a markdown table, with what is needed to judge them.</summary>
internal sealed class Report(BenchOptions options)
{
    private static readonly string[] s_programs = ["qemu-nbd", "nbdkit", "fio"];
    private readonly Dictionary<(string Row, string Unit), Dictionary<string, List<double>>> _rows = [];

    public void Add(string row, string unit, string server, double value)
    {
        if (!_rows.TryGetValue((row, unit), out Dictionary<string, List<double>>? servers)) _rows[(row, unit)] = servers = new();
        if (!servers.TryGetValue(server, out List<double>? values)) servers[server] = values = [];
        values.Add(value);
    }

    public void WriteTo(TextWriter output)
    {
        output.WriteLine($"Machine: {Environment.ProcessorCount} cores, {CpuName()}, {RuntimeInformation.OSDescription}.");
        output.WriteLine($"Commit: {Git("rev-parse", "--short", "HEAD")}. Servers: {Versions()}.");
        output.WriteLine($"Command: `Varve.LoadBench {string.Join(' ', Environment.GetCommandLineArgs().Skip(1))}`: "
            + $"medians of {options.Pairs} rounds, {options.Seconds} s each, {options.SizeMib} MiB of random data in the page cache, unix socket, fio's nbd engine.");
        string[] servers = [];
        foreach (((string row, string unit), Dictionary<string, List<double>> values) in _rows)
        {
            // A table holds rows that have the same columns.
            if (!values.Keys.All(servers.Contains)) WriteHeading(output, servers = [.. values.Keys.OrderBy(k => k != ServerProcess.Varve)]);
            IEnumerable<string> medians = servers.Select(s => values.TryGetValue(s, out List<double>? v) ? Number(Median(v)) : "");
            IEnumerable<string> ratios = OthersOf(servers).Select(s => Ratio(values, s, unit.EndsWith("/s", StringComparison.Ordinal)));
            output.WriteLine($"| {row} | {unit} | {string.Join(" | ", medians.Concat(ratios))} |");
        }
    }

    private static IEnumerable<string> OthersOf(string[] servers) => servers.Where(s => s != ServerProcess.Varve);

    private static void WriteHeading(TextWriter output, string[] servers)
    {
        string[] columns = [.. servers, .. OthersOf(servers).Select(s => $"ahead of {s}")];
        output.WriteLine();
        output.WriteLine($"| workload | unit | {string.Join(" | ", columns)} |");
        output.WriteLine($"|---|---|{string.Concat(Enumerable.Repeat("---:|", columns.Length))}");
    }

    /// <summary>Above 1 ours does more in the time, or takes less for the same.</summary>
    private static string Ratio(Dictionary<string, List<double>> values, string other, bool isRate)
    {
        if (!values.TryGetValue(ServerProcess.Varve, out List<double>? ours) || !values.TryGetValue(other, out List<double>? theirs)) return "";
        double ratio = Median(ours) / Median(theirs);
        return (isRate ? ratio : 1 / ratio).ToString("F2", CultureInfo.InvariantCulture);
    }

    public static double Median(List<double> values)
    {
        double[] sorted = [.. values.Order()];
        int middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    private static string Number(double value) => value.ToString(value < 100 ? "0.0" : "#,0", CultureInfo.InvariantCulture);

    private static string CpuName()
        => File.Exists("/proc/cpuinfo")
            ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal))?.Split(": ")[^1] ?? "unknown processor"
            : "unknown processor";

    private static string Versions()
        => string.Join(", ", s_programs.Where(Tool.IsInstalled).Select(program => FirstLine(program, "--version")));

    private static string Git(params string[] arguments) => Tool.IsInstalled("git") ? FirstLine("git", arguments) : "unknown";

    private static string FirstLine(string program, params string[] arguments)
    {
        using Process process = Tool.Start(program, arguments);
        string line = process.StandardOutput.ReadLine() ?? "unknown";
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return line;
    }
}
