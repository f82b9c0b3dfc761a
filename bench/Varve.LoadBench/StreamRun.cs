using System.Diagnostics;
using System.Text.Json.Nodes;
using Varve.Qmp;

namespace Varve.LoadBench;

/// <summary>The time a daemon takes to stream a chain's base into its top, from the command to the job's end.</summary>
internal static class StreamRun
{
    /// <returns>Seconds.</returns>
    public static async Task<double> MeasureAsync(string program, string[] arguments, string top, string socket)
    {
        File.Delete(socket);
        using Process daemon = Tool.Start(
            program, [.. arguments, "--chardev", $"socket,id=qmp,path={socket},server=on,wait=off", "--monitor", "chardev=qmp",
                "--blockdev", $"driver=file,node-name=file,filename={top}", "--blockdev", "driver=qcow2,node-name=top,file=file"]);
        while (!File.Exists(socket)) await Task.Delay(5).ConfigureAwait(false);
        QmpClient client = await QmpClient.ConnectUnixAsync(socket).ConfigureAwait(false);
        await using (client.ConfigureAwait(false))
        {
            var watch = Stopwatch.StartNew();
            await client.ExecuteAsync("block-stream", new JsonObject { ["job-id"] = "stream", ["device"] = "top" }).ConfigureAwait(false);
            QmpEvent completed = await client.WaitForEventAsync("BLOCK_JOB_COMPLETED").ConfigureAwait(false);
            double seconds = watch.Elapsed.TotalSeconds;
            if (completed.Data?["error"] is { } error) throw new InvalidOperationException($"{program}: the stream failed: {error}");
            await client.ExecuteAsync("quit").ConfigureAwait(false);
            await daemon.WaitForExitAsync().ConfigureAwait(false);
            return seconds;
        }
    }
}
