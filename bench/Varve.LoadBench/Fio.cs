using System.Text.Json.Nodes;

namespace Varve.LoadBench;

/// <summary>fio, the load of all measurements of requests.</summary>
internal static class Fio
{
    /// <summary>Runs a workload once.</summary>
    /// <param name="options">How long.</param>
    /// <param name="directory">Where fio may put its answer.</param>
    /// <param name="workload">What.</param>
    /// <param name="mebibytes">On how much of the target.</param>
    /// <param name="target">fio's engine, and what it works on.</param>
    /// <returns>Requests a second, and requests.</returns>
    public static async Task<(double Rate, long Requests)> RunAsync(
        BenchOptions options, string directory, Workload workload, long mebibytes, params string[] target)
    {
        string output = Path.Combine(directory, "fio.json");
        await Tool.RunAsync(
            "fio",
            [
                "--name=load", .. target, $"--rw={workload.Pattern}", $"--bs={workload.BlockSize}", $"--iodepth={workload.Depth}", $"--numjobs={workload.Clients}",
                "--group_reporting", "--invalidate=0", $"--size={mebibytes}M", "--time_based", $"--runtime={options.Seconds}", "--randrepeat=0", "--norandommap",
                "--output-format=json", $"--output={output}",
            ]).ConfigureAwait(false);
        JsonNode job = JsonNode.Parse(await File.ReadAllTextAsync(output).ConfigureAwait(false))!["jobs"]![0]!;
        if ((int)job["error"]! != 0) throw new InvalidOperationException($"fio failed on {workload.Name}: error {job["error"]}");
        (JsonNode read, JsonNode write) = (job["read"]!, job["write"]!);
        return ((double)read["iops"]! + (double)write["iops"]!, (long)read["total_ios"]! + (long)write["total_ios"]!);
    }
}
