namespace Varve.LoadBench;

/// <summary>What one call of each tool costs: the time, and the memory at its peak.</summary>
internal sealed class StartRun(BenchOptions options, string directory, Report report)
{
    /// <summary>Calls of one command in a row, of which the median is one round's value.</summary>
    private const int CallsPerRound = 20;

    public async Task RunAsync()
    {
        string image = Path.Combine(directory, "small.qcow2");
        await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", image, "1G").ConfigureAwait(false);
        (string Tool, string? Peer, string[] Arguments)[] calls =
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
            ("inspect", null, [image]),
            ("completion", null, ["bash"]),
        ];
        for (int pair = 0; pair < options.Pairs; pair++)
        {
            foreach ((string tool, string? peer, string[] arguments) in calls)
            {
                var ours = new Command(ServerProcess.Varve, options.Server!, [tool, .. arguments]);
                Command[] sides = peer is null ? [ours] : [ours, new Command("QEMU", peer, arguments)];
                string row = $"{tool} {string.Join(' ', arguments.Select(Path.GetFileName))}";
                foreach (Command side in pair % 2 == 0 ? sides : sides.Reverse())
                {
                    report.Add(row, "ms", side.Side, side.MedianMilliseconds(CallsPerRound));
                    report.Add(row, "peak KiB", side.Side, side.MeasureOnce(directory).PeakKibibytes);
                }
            }
        }
    }
}
