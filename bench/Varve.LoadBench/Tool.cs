using System.Diagnostics;

namespace Varve.LoadBench;

/// <summary>Programs this one calls.</summary>
internal static class Tool
{
    private static readonly string[] s_directories = [.. (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':'), "/usr/sbin"];

    public static bool IsInstalled(string name) => s_directories.Any(d => File.Exists(Path.Combine(d, name)));

    /// <summary>Starts a program; what it prints is kept out of the report.</summary>
    public static Process Start(string name, IEnumerable<string> arguments)
    {
        Process process = Process.Start(new ProcessStartInfo(name, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        process.ErrorDataReceived += (_, line) => { if (line.Data is { } text) Console.Error.WriteLine($"{Path.GetFileName(name)}: {text}"); };
        process.BeginErrorReadLine();
        return process;
    }

    /// <summary>Runs a program to its end and returns what it printed.</summary>
    public static async Task<string> RunAsync(string name, params IEnumerable<string> arguments)
    {
        using Process process = Start(name, arguments);
        string output = await process.StandardOutput.ReadToEndAsync().ConfigureAwait(false);
        await process.WaitForExitAsync().ConfigureAwait(false);
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{name} {string.Join(' ', arguments)} exited with {process.ExitCode}");
    }
}
