namespace Varve.LoadBench;

/// <summary>All measurements: servers alternate inside each round, so that what else the machine does hits all of them alike.</summary>
internal sealed class LoadRun(BenchOptions options, string directory, Report report)
{
    private static readonly string[] s_kinds = ["raw", "qcow2", "chain", "allocate", "stream", "limits", "growth"];

    public async Task RunAsync()
    {
        if (!options.Only.Any(s_kinds.Contains)) return;
        string raw = Path.Combine(directory, "image.raw");
        await FillAsync(raw).ConfigureAwait(false);
        foreach (ServedImage image in await ServedImage.CreateAsync(options, directory, raw).ConfigureAwait(false))
        {
            for (int pair = 0; pair < options.Pairs; pair++) await MeasureAllAsync(image, pair).ConfigureAwait(false);
        }

        if (options.Only.Contains("limits"))
        {
            for (int pair = 0; pair < options.Pairs; pair++) await MeasureFileAsync(raw).ConfigureAwait(false);
        }

        if (options.Only.Contains("growth") && options.Server is not null) await new GrowthRun(options, directory, this).RunAsync(raw).ConfigureAwait(false);
        if (options.Only.Contains("stream") && options.Server is not null) await new StreamRun(options, report).RunAsync(raw, directory).ConfigureAwait(false);
    }

    private async Task MeasureAllAsync(ServedImage image, int pair)
    {
        foreach (Workload workload in image.Workloads)
        {
            // Every other round the other way round: who comes first finds other caches.
            IEnumerable<string> servers = pair % 2 == 0 ? options.Servers : options.Servers.Reverse();
            foreach (string server in servers.Where(s => ServerProcess.CanServe(s, image.Format)))
            {
                double rate = await MeasureAsync(image, workload, server).ConfigureAwait(false);
                Console.Error.WriteLine($"{pair + 1}/{options.Pairs} {image.Name}, {workload.Name}: {server} {rate:F0}/s");
            }
        }
    }

    /// <summary>Serves an image and loads it once; what has a name goes into the report.</summary>
    /// <returns>Requests a second.</returns>
    public async Task<double> MeasureAsync(ServedImage image, Workload workload, string server)
    {
        if (image.Prepare is { } prepare) await prepare().ConfigureAwait(false);

        // What the one before wrote goes to the disk now, and not while this one is measured.
        await Tool.RunAsync("sync", "--file-system", directory).ConfigureAwait(false);
        ServerProcess process = await ServerProcess.StartAsync(options, server, image.Format, image.Path, directory).ConfigureAwait(false);
        await using (process.ConfigureAwait(false))
        {
            TimeSpan before = process.ProcessorTime;
            (double rate, long requests) = await Fio.RunAsync(options, directory, workload, image.MiB, "--ioengine=nbd", $"--uri={process.Uri}").ConfigureAwait(false);
            if (workload.Name.Length == 0) return rate;
            string row = $"{image.Name}, {workload.Name}";
            report.Add(row, "requests/s", server, rate);
            report.Add(row, "server's us/request", server, (process.ProcessorTime - before).TotalMicroseconds / requests);
            report.Add(row, "server's peak KiB", server, process.PeakKibibytes);
            return rate;
        }
    }

    /// <summary>The raw file without any server: one thread that does nothing but the system calls.</summary>
    private async Task MeasureFileAsync(string raw)
    {
        foreach (Workload workload in Workload.All.Where(w => w.Clients == 1 && w.Depth > 1))
        {
            (double rate, _) = await Fio.RunAsync(options, directory, workload, options.SizeMib, "--ioengine=psync", $"--filename={raw}").ConfigureAwait(false);
            report.Add($"limit: the file itself, {workload.Name[..workload.Name.LastIndexOf(',')]}", "requests/s", "one thread", rate);
        }
    }

    /// <summary>Random data: zeros would be told instead of sent, and holes not read.</summary>
    /// <remarks>Written by pieces as a guest would: the kernel keeps what is written at once as one folio, and with folios of a MiB three quarters of a 4k write
    /// are ext4 walking all blocks of its folio, whoever serves.</remarks>
    private async Task FillAsync(string path)
    {
        var random = new Random(1);
        byte[] block = new byte[64 << 10];
        FileStream file = File.Create(path, block.Length);
        await using (file.ConfigureAwait(false))
        {
            for (long i = 0; i < options.SizeMib * 16; i++)
            {
                random.NextBytes(block);
                await file.WriteAsync(block).ConfigureAwait(false);
            }
        }
    }
}
