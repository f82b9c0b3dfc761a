using System.Diagnostics;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Varve.Qmp;

namespace Varve.Compatibility.Support;

/// <summary>A storage daemon under test, ours or the reference's, with one QMP connection.</summary>
internal sealed class DaemonProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly Task<string> _errors, _output;

    private DaemonProcess(Process process, QmpClient qmp)
    {
        _process = process;
        Qmp = qmp;
        _errors = process.StandardError.ReadToEndAsync();
        _output = process.StandardOutput.ReadToEndAsync();
    }

    public QmpClient Qmp { get; }

    public int Id => _process.Id;

    /// <summary>Starts the daemon with a QMP socket in <paramref name="directory"/> and connects to it.</summary>
    public static async Task<DaemonProcess> StartAsync(Tool daemon, TempDirectory directory, string[] arguments, string? workingDirectory = null)
    {
        string socket = directory[$"qmp-{Guid.NewGuid():N}"[..12]];
        ProcessStartInfo start = daemon.StartInfo([.. arguments, "--chardev", $"socket,id=qmp,path={socket},server=on,wait=off", "--monitor", "chardev=qmp"]);
        start.WorkingDirectory = workingDirectory ?? directory.ToString();
        Process process = Process.Start(start)!;
        var waited = Stopwatch.StartNew();
        while (!File.Exists(socket))
        {
            if (process.HasExited)
            {
                throw new InvalidOperationException($"{daemon.Name} ended with {process.ExitCode}: {await process.StandardError.ReadToEndAsync()}");
            }

            if (waited.Elapsed > TimeSpan.FromSeconds(20)) throw new TimeoutException($"{daemon.Name} opened no QMP socket");
            await Task.Delay(10);
        }

        while (true)
        {
            try
            {
                return new DaemonProcess(process, await QmpClient.ConnectUnixAsync(socket));
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused && waited.Elapsed < TimeSpan.FromSeconds(20))
            {
                await Task.Delay(10);   // bound, and not listening yet
            }
        }
    }

    public Task<JsonNode?> ExecuteAsync(string command, JsonObject? arguments = null) => Qmp.ExecuteAsync(command, arguments);

    /// <summary>Ends it without warning, as a power cut of the process would.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
    }

    /// <summary>Asks it to end with SIGTERM and waits.</summary>
    /// <returns>Its exit code and what it said on standard error.</returns>
    public async Task<(int ExitCode, string Errors)> TerminateAsync()
    {
        using (Process kill = Process.Start("kill", ["-TERM", _process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)])) await kill.WaitForExitAsync();
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        await _process.WaitForExitAsync(limit.Token);
        return (_process.ExitCode, await _errors);
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            await _process.WaitForExitAsync();
        }

        await Qmp.DisposeAsync();
        _ = await _output;
        _process.Dispose();
    }
}
