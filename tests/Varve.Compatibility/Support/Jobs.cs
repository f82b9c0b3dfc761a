using System.Text.Json.Nodes;

namespace Varve.Compatibility.Support;

/// <summary>Running a job to its end over QMP.</summary>
internal static class Jobs
{
    /// <summary>Starts a stream that stays queryable, and waits until it has concluded.</summary>
    /// <returns>The job's error, or null.</returns>
    public static async Task<string?> StreamAsync(this DaemonProcess daemon, string device, string? baseNode, string? backingFile, JsonObject? more = null)
    {
        var arguments = more ?? [];
        arguments["job-id"] = "stream0";
        arguments["device"] = device;
        arguments["auto-dismiss"] = false;
        if (baseNode is not null) arguments["base-node"] = baseNode;
        if (backingFile is not null) arguments["backing-file"] = backingFile;
        await daemon.ExecuteAsync("block-stream", arguments);
        return await daemon.ConcludeAsync("stream0");
    }

    /// <summary>Waits until a job has concluded and dismisses it.</summary>
    public static async Task<string?> ConcludeAsync(this DaemonProcess daemon, string id)
    {
        for (int waited = 0; waited < 6000; waited++)
        {
            JsonNode job = await daemon.JobAsync(id) ?? throw new InvalidOperationException($"no job {id}");
            if ((string?)job["status"] == "concluded")
            {
                await daemon.ExecuteAsync("job-dismiss", new JsonObject { ["id"] = id });
                return (string?)job["error"];
            }

            await Task.Delay(10);
        }

        throw new TimeoutException($"job {id} did not conclude");
    }

    /// <summary>A job as query-jobs shows it; null when there is none of that name.</summary>
    public static async Task<JsonNode?> JobAsync(this DaemonProcess daemon, string id)
        => ((JsonArray)(await daemon.ExecuteAsync("query-jobs"))!).FirstOrDefault(j => (string?)j!["id"] == id);
}
