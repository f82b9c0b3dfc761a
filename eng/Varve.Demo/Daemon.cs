using System.Diagnostics;
using System.Text.Json.Nodes;
using Varve.Qmp;

namespace Varve.Demo;

/// <summary>`varve daemon` with one writable export and a QMP socket.</summary>
internal sealed class Daemon : IAsyncDisposable
{
    private readonly Process _process;
    private bool _hasEnded;

    private Daemon(Process process, QmpClient qmp)
    {
        _process = process;
        Qmp = qmp;
    }

    public QmpClient Qmp { get; }

    /// <summary>Starts the daemon in <paramref name="directory"/> on the image that <paramref name="blockdev"/> describes.</summary>
    public static async Task<Daemon> StartAsync(string varve, string directory, string blockdev)
    {
        var start = new ProcessStartInfo(varve)
        {
            WorkingDirectory = directory,
            ArgumentList =
            {
                "daemon", "--blockdev", blockdev,
                "--nbd-server", "addr.type=unix,addr.path=nbd.sock",
                "--export", "nbd,id=disk,node-name=top,name=disk,writable=on",
                "--chardev", "socket,id=qmp,path=qmp.sock,server=on,wait=off", "--monitor", "qmp",
            },
        };
        Process process = Process.Start(start) ?? throw new InvalidOperationException($"{varve} did not start");
        string socket = Path.Combine(directory, "qmp.sock");
        while (!File.Exists(socket))
        {
            if (process.HasExited) throw new InvalidOperationException($"varve daemon ended with {process.ExitCode}");
            await Task.Delay(5);
        }

        return new Daemon(process, await QmpClient.ConnectUnixAsync(socket));
    }

    /// <summary>The names of the running chain, top first, as the graph has them.</summary>
    public async Task<string> RunningChainAsync()
    {
        var nodes = (JsonArray)(await Qmp.ExecuteAsync("query-named-block-nodes"))!;
        JsonNode? image = nodes.First(n => (string?)n!["node-name"] == "top")!["image"];
        var names = new List<string>();
        for (; image is not null; image = image["backing-image"]) names.Add((string)image["filename"]!);
        return string.Join(" <- ", names.Select(n => n.StartsWith("json:", StringComparison.Ordinal) ? "(top)" : n));
    }

    /// <summary>Ends the daemon in good order; the second call does nothing.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_hasEnded) return;
        _hasEnded = true;
        if (!_process.HasExited) await Qmp.ExecuteAsync("quit");
        await Qmp.DisposeAsync();
        await _process.WaitForExitAsync();
        _process.Dispose();
    }
}
