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

/// <summary>A daemon streams a chain's base into its top, at rest or under a guest that writes.</summary>
internal static class StreamRun
{
    /// <summary>Starts the daemon, streams, and ends it.</summary>
    /// <param name="program">The daemon.</param>
    /// <param name="arguments">Before the options that both daemons share.</param>
    /// <param name="top">The chain's top.</param>
    /// <param name="directory">For sockets.</param>
    /// <param name="mebibytes">How much of the disk the guest writes to; 0: there is no guest.</param>
    public static async Task<StreamResult> MeasureAsync(string program, string[] arguments, string top, string directory, long mebibytes)
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
