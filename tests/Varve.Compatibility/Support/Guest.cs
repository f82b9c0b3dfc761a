using System.Diagnostics;

namespace Varve.Compatibility.Support;

/// <summary>A real guest: Debian's kernel under qemu-system's TCG, its disk one of our NBD exports, running tests/guest/init.</summary>
internal sealed class Guest : IAsyncDisposable
{
    private readonly Process _process;
    private readonly Lock _lock = new();
    private readonly List<string> _lines = [];
    private readonly SemaphoreSlim _said = new(0);

    private Guest(Process process)
    {
        _process = process;
        process.OutputDataReceived += (_, line) =>
        {
            if (line.Data is null) return;
            lock (_lock) _lines.Add(line.Data.Trim());
            _said.Release();
        };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>What the guest found wrong: reads that did not give what was written.</summary>
    public IReadOnlyList<string> Complaints
    {
        get
        {
            lock (_lock) return [.. _lines.Where(l => l.Contains("BAD", StringComparison.Ordinal) || l.Contains("error", StringComparison.OrdinalIgnoreCase))];
        }
    }

    /// <summary>The kernel to boot; null where the package is missing.</summary>
    public static string? Kernel { get; } = Directory.Exists("/boot") ? Directory.GetFiles("/boot", "vmlinuz-*-cloud-amd64").Order().LastOrDefault() : null;

    /// <summary>Boots the guest and waits until it has found its disk.</summary>
    public static async Task<Guest> BootAsync(TempDirectory directory, string nbdUri)
    {
        string initrd = directory["initrd.gz"];
        (await new Tool("guest-initrd", Path.Combine(Repository.Root, "eng", "guest-initrd")).RunAsync(initrd)).Succeeded.ToString();
        ProcessStartInfo start = Tool.QemuSystem.StartInfo(
            "-accel", "tcg", "-m", "192", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", Kernel!,
            "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1",
            "-drive", $"file={nbdUri},format=raw,if=virtio,cache=none");
        var guest = new Guest(Process.Start(start)!);
        await guest.WaitForAsync("READY", TimeSpan.FromSeconds(120));
        return guest;
    }

    /// <summary>Waits until the guest has finished <paramref name="count"/> more rounds of writing and verifying.</summary>
    public async Task RoundsAsync(int count)
    {
        int done = Rounds();
        while (Rounds() < done + count)
        {
            if (!await _said.WaitAsync(TimeSpan.FromSeconds(120))) throw new TimeoutException("the guest is stalled");
        }
    }

    /// <summary>Lets the guest finish, checksum its disk past its cache, and power off.</summary>
    /// <returns>SHA-256 of the disk as the guest reads it.</returns>
    public async Task<string> FinishAsync()
    {
        await _process.StandardInput.WriteLineAsync("STOP");
        await _process.StandardInput.FlushAsync();
        string line = await WaitForAsync("SUM ", TimeSpan.FromSeconds(180));
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        await _process.WaitForExitAsync(limit.Token);
        return line[(line.IndexOf("SUM ", StringComparison.Ordinal) + 4)..];
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            await _process.WaitForExitAsync();
        }

        _process.Dispose();
        _said.Dispose();
    }

    private int Rounds()
    {
        lock (_lock) return _lines.Count(l => l.StartsWith("ROUND ", StringComparison.Ordinal));
    }

    private async Task<string> WaitForAsync(string start, TimeSpan limit)
    {
        var waited = Stopwatch.StartNew();
        while (true)
        {
            lock (_lock)
            {
                if (_lines.Find(l => l.Contains(start, StringComparison.Ordinal)) is { } line) return line;
            }

            TimeSpan left = limit - waited.Elapsed;
            if (left <= TimeSpan.Zero || !await _said.WaitAsync(left))
            {
                lock (_lock) throw new TimeoutException($"the guest did not say {start}; it said:\n{string.Join('\n', _lines.TakeLast(30))}");
            }
        }
    }
}
