using System.Globalization;

namespace Varve.LoadBench;

/// <summary>How cost grows with the queue, the connections, the chain, the clusters and the disk; each a picture.</summary>
internal sealed class GrowthRun(BenchOptions options, string directory, LoadRun load)
{
    private static readonly string[] s_rawServers = [ServerProcess.Varve, ServerProcess.QemuUring, ServerProcess.Nbdkit];
    private static readonly string[] s_qcow2Servers = [ServerProcess.Varve, ServerProcess.QemuUring];

    public async Task RunAsync(string raw)
    {
        Directory.CreateDirectory(options.Plots);
        await ServeAsync("depth", "Raw image, 4k random reads: requests a second", "requests in flight", s_rawServers,
            [.. Powers(1, 128, 2).Select(depth => (depth, $"{depth}", new ServedImage("raw", "raw", raw, options.SizeMib, []), new Workload("", "randread", "4k", depth)))]).ConfigureAwait(false);
        await ServeAsync("connections", "Raw image, 4k random reads, 4 in flight on each connection: requests a second", "connections", s_rawServers,
            [.. Powers(1, 64, 2).Select(count => (count, $"{count}", new ServedImage("raw", "raw", raw, options.SizeMib, []), new Workload("", "randread", "4k", 4, count)))]).ConfigureAwait(false);
        await ServeAsync("chain", "qcow2 chain, 4k random reads, depth 32: requests a second", "images in the chain", s_qcow2Servers, await ChainsAsync(raw).ConfigureAwait(false)).ConfigureAwait(false);
        await ServeAsync("clusters", "qcow2, 4k random reads, depth 32: requests a second", "cluster size", s_qcow2Servers, await ClusterSizesAsync(raw).ConfigureAwait(false)).ConfigureAwait(false);
        await SizesAsync().ConfigureAwait(false);
    }

    private static IEnumerable<int> Powers(int first, int last, int factor)
    {
        for (int i = first; i <= last; i *= factor) yield return i;
    }

    private async Task<List<(int X, string Label, ServedImage Image, Workload Workload)>> ChainsAsync(string raw)
    {
        var points = new List<(int, string, ServedImage, Workload)>();
        foreach (int depth in Powers(1, 64, 4))
        {
            string top = await ServedImage.CreateChainAsync(options, directory, raw, depth).ConfigureAwait(false);
            points.Add((depth, $"{depth}", new ServedImage("chain", "qcow2", top, options.SizeMib, []), Workload.RandomRead with { Name = "" }));
        }

        return points;
    }

    private async Task<List<(int X, string Label, ServedImage Image, Workload Workload)>> ClusterSizesAsync(string raw)
    {
        var points = new List<(int, string, ServedImage, Workload)>();
        foreach (int kibibytes in Powers(4, 2048, 8).Append(2048).Distinct())
        {
            string image = Path.Combine(directory, $"clusters{kibibytes}.qcow2");
            await Tool.RunAsync("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", $"cluster_size={kibibytes}K", raw, image).ConfigureAwait(false);
            points.Add((kibibytes, $"{kibibytes} KiB", new ServedImage("clusters", "qcow2", image, options.SizeMib, []), Workload.RandomRead with { Name = "" }));
        }

        return points;
    }

    private async Task ServeAsync(
        string name, string title, string axis, string[] servers, IReadOnlyList<(int X, string Label, ServedImage Image, Workload Workload)> points)
    {
        var chart = new Chart(title, axis);
        for (int pair = 0; pair < options.Pairs; pair++)
        {
            foreach ((int x, string label, ServedImage image, Workload workload) in points)
            {
                foreach (string server in (pair % 2 == 0 ? servers : servers.Reverse()).Where(s => ServerProcess.CanServe(s, image.Format)))
                {
                    double rate = await load.MeasureAsync(image, workload, server).ConfigureAwait(false);
                    chart.Add(server, x, label, rate);
                    Console.Error.WriteLine($"{pair + 1}/{options.Pairs} growth, {name} {label}: {server} {rate:F0}/s");
                }
            }
        }

        chart.WriteTo(Path.Combine(options.Plots, $"{name}.svg"));
    }

    /// <summary>Disks that hold one cluster at each end: what the tables cost, not the data.</summary>
    private async Task SizesAsync()
    {
        foreach (string verb in (string[])["map", "check"])
        {
            var chart = new Chart($"img {verb} of a sparse qcow2 image: milliseconds", "virtual size");
            foreach (int gibibytes in Powers(1, 16384, 4).Append(16384).Distinct())
            {
                string image = Path.Combine(directory, $"sparse{gibibytes}.qcow2"), label = gibibytes < 1024 ? $"{gibibytes} GiB" : $"{gibibytes / 1024} TiB";
                if (!File.Exists(image))
                {
                    await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", image, $"{gibibytes}G").ConfigureAwait(false);
                    await Tool.RunAsync("qemu-io", "-f", "qcow2", "-c", "write 0 64k", "-c", string.Create(CultureInfo.InvariantCulture, $"write {((long)gibibytes << 30) - 65536} 64k"), image)
                        .ConfigureAwait(false);
                }

                for (int pair = 0; pair < options.Pairs; pair++)
                {
                    Command[] sides = [new(ServerProcess.Varve, options.Server!, "img", verb, "-f", "qcow2", image), new("qemu-img", "qemu-img", verb, "-f", "qcow2", image)];
                    foreach (Command side in pair % 2 == 0 ? sides : sides.Reverse()) chart.Add(side.Side, gibibytes, label, side.MedianMilliseconds(calls: 3));
                }
            }

            chart.WriteTo(Path.Combine(options.Plots, $"size-{verb}.svg"));
        }
    }
}
