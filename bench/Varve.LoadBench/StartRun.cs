using System.Diagnostics;
using System.Globalization;

namespace Varve.LoadBench;

/// <summary>What one call of each tool costs, from the start of the process to its end: the time, and the memory at its peak.</summary>
internal sealed class StartRun(BenchOptions options, string directory, Report report)
{
    /// <summary>Calls of one command in a row, of which the median is one round's value.</summary>
    private const int CallsPerRound = 20;

    public async Task RunAsync()
    {
        string image = Path.Combine(directory, "small.qcow2");
        await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", image, "1G").ConfigureAwait(false);
        (string Tool, string Peer, string[] Arguments)[] calls =
        [
            ("img", "qemu-img", ["--version"]),
            ("img", "qemu-img", ["info", image]),
            ("img", "qemu-img", ["map", image]),
            ("img", "qemu-img", ["check", image]),
            ("img", "qemu-img", ["create", "-q", "-f", "qcow2", Path.Combine(directory, "new.qcow2"), "1G"]),
            ("io", "qemu-io", ["--version"]),
            ("io", "qemu-io", ["-c", "read 0 64k", image]),
            ("nbd", "qemu-nbd", ["--version"]),
            ("daemon", "qemu-storage-daemon", ["--version"]),
            ("inspect", "", [image]),
            ("completion", "", ["bash"]),
        ];
        for (int pair = 0; pair < options.Pairs; pair++)
        {
            foreach ((string tool, string peer, string[] arguments) in calls)
            {
                (string Name, string Program, string[] Arguments)[] sides = peer.Length == 0
                    ? [(ServerProcess.Varve, options.Server!, [tool, .. arguments])]
                    : [(ServerProcess.Varve, options.Server!, [tool, .. arguments]), ("QEMU", peer, arguments)];
                string row = $"{tool} {string.Join(' ', arguments.Select(Path.GetFileName))}";
                foreach ((string name, string program, string[] all) in pair % 2 == 0 ? sides : [.. sides.Reverse()])
                {
                    report.Add(row, "ms", name, MedianMilliseconds(program, all));
                    report.Add(row, "peak KiB", name, await PeakKibibytesAsync(program, all).ConfigureAwait(false));
                }
            }
        }
    }

    private static double MedianMilliseconds(string program, string[] arguments)
    {
        double[] times = [.. Enumerable.Range(0, CallsPerRound).Select(_ =>
        {
            var watch = Stopwatch.StartNew();
            using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return watch.Elapsed.TotalMilliseconds;
        }).Order()];
        return times[CallsPerRound / 2];
    }

    /// <summary>By time(1), whose own memory is small: what a child had before its exec counts into its peak.</summary>
    private async Task<double> PeakKibibytesAsync(string program, string[] arguments)
    {
        string output = Path.Combine(directory, "peak");
        await Tool.RunAsync("time", ["--format", "%M", "--output", output, program, .. arguments]).ConfigureAwait(false);
        return double.Parse(await File.ReadAllTextAsync(output).ConfigureAwait(false), CultureInfo.InvariantCulture);
    }
}
