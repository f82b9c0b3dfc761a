using System.Diagnostics;
using Varve.Jobs;
using Varve.Tests.Cli;

namespace Varve.Tests.Support;

/// <summary>Waiting for what another thread or program does: never for ever, so that what does not come is a failed test and not a run that hangs.</summary>
internal static class Patience
{
    /// <summary>Far more than anything takes on a busy machine.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    /// <summary>Waits until <paramref name="condition"/> holds.</summary>
    /// <param name="condition">Looked at every few milliseconds.</param>
    /// <param name="what">What failed to come, for the message.</param>
    public static Task UntilAsync(Func<bool> condition, string what) => UntilAsync(() => Task.FromResult(condition()), what);

    /// <summary>Waits until <paramref name="condition"/> holds, which has to ask somebody.</summary>
    public static async Task UntilAsync(Func<Task<bool>> condition, string what)
    {
        var watch = Stopwatch.StartNew();
        while (!await condition())
        {
            Assert.True(watch.Elapsed < Limit, $"waited {Limit.TotalSeconds:0} s in vain: {what}");
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>Waits until a program listens on a socket, or writes its pid file.</summary>
    /// <param name="path">What it makes then.</param>
    /// <param name="program">It, where this process runs it: when it ends first, what it said is the message.</param>
    public static async Task UntilExistsAsync(string path, Task<ToolRun>? program = null)
    {
        await UntilAsync(() => File.Exists(path) || program is { IsCompleted: true }, $"{path} does not exist");
        if (!File.Exists(path)) Assert.Fail($"{path} does not exist, and the program ended: {await program!}");
    }

    /// <summary>Waits until a job is concluded.</summary>
    public static Task EndAsync(this Job job) => job.Completion.WaitAsync(Limit, TestContext.Current.CancellationToken);

    /// <summary>Waits for the end of a program that this process runs.</summary>
    public static Task<ToolRun> EndAsync(this Task<ToolRun> program) => program.WaitAsync(Limit, TestContext.Current.CancellationToken);
}
