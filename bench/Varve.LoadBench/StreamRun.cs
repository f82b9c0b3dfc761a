using System.Diagnostics;
using System.Text.Json.Nodes;
using Varve.Qmp;

namespace Varve.LoadBench;

/// <summary>What one stream took.</summary>
/// <param name="Seconds">From the command to the job's end.</param>
/// <param name="DurableSeconds">From the command until what was copied is on the disk: the reference's job ends before that.</param>
/// <param name="Percentile99">Of the guest's writes from the command until it is durable, in milliseconds; null where there were none.</param>
/// <param name="PeakKibibytes">The daemon's memory at its peak.</param>
internal sealed record StreamResult(double Seconds, double DurableSeconds, double? Percentile99, double PeakKibibytes);

/// <summary>A daemon streams a chain's base into its top, at rest or under a guest that writes: on the disk, and in memory, where no disk sets the pace.</summary>
internal sealed class StreamRun(BenchOptions options, Report report)
{
    private const string Memory = "/dev/shm";

    /// <summary>Streams on both sides in turn.</summary>
    /// <param name="raw">The base.</param>
    /// <param name="directory">On the disk.</param>
    public async Task RunAsync(string raw, string directory)
    {
        await MeasureAllAsync(raw, directory, "").ConfigureAwait(false);
        if (!Directory.Exists(Memory)) return;
        string copy = Path.Combine(Memory, $"varve-bench-{Environment.ProcessId}");
        Directory.CreateDirectory(copy);
        try
        {
            string inMemory = Path.Combine(copy, "image.raw");
            File.Copy(raw, inMemory);
            await MeasureAllAsync(inMemory, copy, ", in memory").ConfigureAwait(false);
        }
        finally
        {
            Directory.Delete(copy, recursive: true);
        }
    }

    private async Task MeasureAllAsync(string raw, string directory, string place)
    {
        for (int pair = 0; pair < options.Pairs; pair++)
        {
            await MeasureBothAsync(raw, directory, pair, isLoaded: false, place).ConfigureAwait(false);
            await MeasureBothAsync(raw, directory, pair, isLoaded: true, place).ConfigureAwait(false);
            if (place.Length == 0) await MeasureCopyAsync(raw, directory).ConfigureAwait(false);
        }
    }

    private async Task MeasureBothAsync(string raw, string directory, int pair, bool isLoaded, string place)
    {
        string row = $"stream {options.SizeMib} MiB into qcow2{place}{(isLoaded ? ", under 2,000 random writes a second" : "")}";
        (string Name, string Program, string[] Arguments)[] daemons =
        [
            (ServerProcess.Varve, options.Server!, ["daemon"]),
            ("qemu-storage-daemon", "qemu-storage-daemon", []),
        ];
        foreach ((string name, string program, string[] arguments) in pair % 2 == 0 ? daemons : [.. daemons.Reverse()])
        {
            if (name != ServerProcess.Varve && !Tool.IsInstalled(program)) continue;
            string top = Path.Combine(directory, "top.qcow2");
            File.Delete(top);
            await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", "-b", raw, "-F", "raw", top).ConfigureAwait(false);
            await Tool.RunAsync("sync", "--file-system", directory).ConfigureAwait(false);
            StreamResult result = await MeasureAsync(program, arguments, top, directory, isLoaded ? options.SizeMib : 0).ConfigureAwait(false);
            report.Add($"{row}, until the job ends", "MiB/s", name, options.SizeMib / result.Seconds);
            report.Add($"{row}, until it is durable", "MiB/s", name, options.SizeMib / result.DurableSeconds);
            report.Add($"{row}", "peak KiB", name, result.PeakKibibytes);
            if (result.Percentile99 is { } percentile) report.Add($"{row}, 99 % of the writes take at most", "ms", name, percentile);
            Console.Error.WriteLine($"{pair + 1}/{options.Pairs} {row}: {name} {result}");
        }
    }

    /// <summary>Nothing but the system calls that copy the data and make it durable: what the disk takes.</summary>
    private async Task MeasureCopyAsync(string raw, string directory)
    {
        string target = Path.Combine(directory, "copy.raw");
        var watch = Stopwatch.StartNew();
        await Tool.RunAsync("dd", $"if={raw}", $"of={target}", "bs=512k", "conv=fsync", "status=none").ConfigureAwait(false);
        report.Add($"limit: dd of {options.SizeMib} MiB, until it is durable", "MiB/s", "dd", options.SizeMib / watch.Elapsed.TotalSeconds);
        File.Delete(target);
    }

    /// <summary>Starts the daemon, streams, and ends it.</summary>
    /// <param name="program">The daemon.</param>
    /// <param name="arguments">Before the options that both daemons share.</param>
    /// <param name="top">The chain's top.</param>
    /// <param name="directory">For sockets.</param>
    /// <param name="mebibytes">How much of the disk the guest writes to; 0: there is no guest.</param>
    private static async Task<StreamResult> MeasureAsync(string program, string[] arguments, string top, string directory, long mebibytes)
    {
        string qmp = Path.Combine(directory, "qmp.sock"), nbd = Path.Combine(directory, "nbd.sock"), load = Path.Combine(directory, "load.json");
        foreach (string file in (string[])[qmp, nbd, load]) File.Delete(file);
        using Process daemon = Tool.Start(
            program, [.. arguments, "--chardev", $"socket,id=qmp,path={qmp},server=on,wait=off", "--monitor", "chardev=qmp",
                "--blockdev", $"driver=file,node-name=file,filename={top}", "--blockdev", "driver=qcow2,node-name=top,file=file",
                "--nbd-server", $"addr.type=unix,addr.path={nbd}", "--export", "type=nbd,id=top,node-name=top,name=,writable=on"]);
        while (!File.Exists(qmp) || !File.Exists(nbd)) await Task.Delay(5).ConfigureAwait(false);
        using Process? guest = mebibytes == 0 ? null : Tool.Start(
            "fio", ["--name=load", "--ioengine=nbd", $"--uri=nbd+unix:///?socket={nbd}", "--rw=randwrite", "--bs=4k", "--iodepth=4", "--rate_iops=2000", $"--size={mebibytes}M",
                "--time_based", "--ramp_time=500ms", "--runtime=600", "--norandommap", "--output-format=json", $"--output={load}"]);
        if (guest is not null) await Task.Delay(600).ConfigureAwait(false);   // what it does before its ramp is over is not in its percentiles
        QmpClient client = await QmpClient.ConnectUnixAsync(qmp).ConfigureAwait(false);
        await using (client.ConfigureAwait(false))
        {
            var watch = Stopwatch.StartNew();
            await client.ExecuteAsync("block-stream", new JsonObject { ["job-id"] = "stream", ["device"] = "top" }).ConfigureAwait(false);
            QmpEvent completed = await client.WaitForEventAsync("BLOCK_JOB_COMPLETED").ConfigureAwait(false);
            double seconds = watch.Elapsed.TotalSeconds;
            if (completed.Data?["error"] is { } error) throw new InvalidOperationException($"{program}: the stream failed: {error}");
            await Tool.RunAsync("sync", top).ConfigureAwait(false);
            double durable = watch.Elapsed.TotalSeconds;
            double? percentile = guest is null ? null : await EndAsync(guest, load).ConfigureAwait(false);
            daemon.Refresh();
            double peak = daemon.PeakWorkingSet64 / 1024.0;
            await client.ExecuteAsync("quit").ConfigureAwait(false);
            await daemon.WaitForExitAsync().ConfigureAwait(false);
            return new StreamResult(seconds, durable, percentile, peak);
        }
    }

    /// <summary>Ends the guest; it says what it saw.</summary>
    private static async Task<double> EndAsync(Process guest, string output)
    {
        await Tool.RunAsync("kill", "-INT", $"{guest.Id}").ConfigureAwait(false);
        await guest.WaitForExitAsync().ConfigureAwait(false);
        string text = await File.ReadAllTextAsync(output).ConfigureAwait(false);
        JsonNode job = JsonNode.Parse(text[text.IndexOf('{', StringComparison.Ordinal)..])!["jobs"]![0]!;
        return (double)job["write"]!["clat_ns"]!["percentile"]!["99.000000"]! / 1e6;
    }
}
