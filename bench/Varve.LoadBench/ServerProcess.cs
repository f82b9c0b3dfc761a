using System.Diagnostics;

namespace Varve.LoadBench;

/// <summary>A server of one image on a unix socket, in a process of its own.</summary>
internal sealed class ServerProcess : IAsyncDisposable
{
    public const string Varve = "varve", QemuUring = "qemu-io_uring", QemuThreads = "qemu-threads", Nbdkit = "nbdkit";

    private readonly Process _process;

    private ServerProcess(Process process, string socket)
    {
        _process = process;
        Socket = socket;
    }

    public string Socket { get; }

    /// <summary>What fio connects to.</summary>
    public string Uri => $"nbd+unix:///?socket={Socket}";

    /// <summary>Processor time so far, of all its threads.</summary>
    public TimeSpan ProcessorTime
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    /// <summary>Memory at its peak so far.</summary>
    public long PeakKibibytes
    {
        get
        {
            _process.Refresh();
            return _process.PeakWorkingSet64 / 1024;
        }
    }

    /// <summary>Whether a server can serve a format here.</summary>
    public static bool CanServe(string server, string format) => server switch
    {
        Varve => true,
        _ when format == ServedImage.Nothing => false,
        Nbdkit => format == "raw" && Tool.IsInstalled("nbdkit"),
        _ => Tool.IsInstalled("qemu-nbd"),
    };

    /// <summary>Starts a server; done when it listens.</summary>
    public static async Task<ServerProcess> StartAsync(BenchOptions options, string server, string format, string image, string directory)
    {
        string socket = Path.Combine(directory, $"{server}.sock");
        File.Delete(socket);
        (string program, string[] arguments) = server switch
        {
            Varve when options.Server is { } daemon => (daemon, (string[])
            [
                "daemon", .. Nodes(format, image),
                "--nbd-server", $"addr.type=unix,addr.path={socket}", "--export", "type=nbd,id=disk,node-name=disk,name=,writable=on",
            ]),
            Varve => (Environment.ProcessPath!, ["serve", format, image, socket]),
            Nbdkit => ("nbdkit", ["--foreground", "--unix", socket, "file", image]),
            QemuUring => ("qemu-nbd", ["-t", "-e", "0", "-f", format, "--aio=io_uring", "-k", socket, image]),
            QemuThreads => ("qemu-nbd", ["-t", "-e", "0", "-f", format, "--aio=threads", "-k", socket, image]),
            _ => throw new ArgumentException($"Unknown server '{server}'", nameof(server)),
        };
        var started = new ServerProcess(Tool.Start(program, arguments), socket);
        var watch = Stopwatch.StartNew();
        while (!File.Exists(socket))
        {
            if (started._process.HasExited || watch.Elapsed > TimeSpan.FromSeconds(10)) throw new InvalidOperationException($"{server} does not serve {image}");
            await Task.Delay(5).ConfigureAwait(false);
        }

        return started;
    }

    private static string[] Nodes(string format, string image) => format == ServedImage.Nothing
        ? ["--blockdev", $"driver={format},node-name=disk,size={1L << 40}"]
        : ["--blockdev", $"driver=file,node-name=file,filename={image}", "--blockdev", $"driver={format},node-name=disk,file=file"];

    /// <summary>Ends the server.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited) await Tool.RunAsync("kill", $"{_process.Id}").ConfigureAwait(false);
        await _process.WaitForExitAsync().ConfigureAwait(false);
        _process.Dispose();
    }
}
