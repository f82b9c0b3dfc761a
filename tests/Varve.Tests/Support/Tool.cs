using System.Diagnostics;

namespace Varve.Tests.Support;

/// <summary>An external program a test compares with. A missing one skips the test, by name.</summary>
internal static class Tool
{
    /// <summary>What a program printed, and how it ended.</summary>
    internal sealed record Result(int ExitCode, string Output, string Error);

    /// <summary>The simulator's big run takes minutes.</summary>
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(15);

    /// <summary>Skips the test unless the program is installed.</summary>
    public static void Need(string name)
        => Assert.SkipUnless(
            (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(d => System.IO.File.Exists(Path.Combine(d, name))), $"{name} is not installed");

    /// <summary>Starts a program with its input and output connected to us.</summary>
    public static Process Start(string name, params IEnumerable<string> arguments)
    {
        Need(name);
        return Process.Start(new ProcessStartInfo(name, arguments)
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
        })!;
    }

    /// <summary>Runs a program to its end.</summary>
    public static async Task<Result> RunAsync(string name, params IEnumerable<string> arguments)
    {
        using Process process = Start(name, arguments);
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        try
        {
            await process.WaitForExitAsync().WaitAsync(s_limit);
        }
        catch (TimeoutException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{name} {string.Join(' ', arguments)} did not end in {s_limit.TotalMinutes} minutes");
        }

        return new Result(process.ExitCode, await output, await error);
    }
}
