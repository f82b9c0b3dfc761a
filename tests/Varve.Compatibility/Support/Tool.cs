using System.Diagnostics;

namespace Varve.Compatibility.Support;

/// <summary>What a finished program said.</summary>
internal sealed record ToolResult(int ExitCode, string Output, string Error)
{
    /// <summary>The output of a run that had to succeed.</summary>
    public string Succeeded => ExitCode == 0 ? Output : throw new InvalidOperationException($"exit code {ExitCode}\n{Output}\n{Error}");
}

/// <summary>A program the tests run: the reference's, a client's, or ours.</summary>
internal sealed record Tool(string Name, string? Path)
{
    // Programs of the reference, of libnbd and others, as Debian installs them.
    public static Tool QemuImg { get; } = Find("qemu-img");
    public static Tool QemuIO { get; } = Find("qemu-io");
    public static Tool QemuNbd { get; } = Find("qemu-nbd");
    public static Tool QemuStorageDaemon { get; } = Find("qemu-storage-daemon");
    public static Tool QemuSystem { get; } = Find("qemu-system-x86_64");
    public static Tool Fio { get; } = Find("fio");
    public static Tool NbdInfo { get; } = Find("nbdinfo");
    public static Tool NbdCopy { get; } = Find("nbdcopy");
    public static Tool Bash { get; } = Find("bash");
    public static Tool Strace { get; } = Find("strace");

    /// <summary>Our executable, as eng/build leaves it.</summary>
    public static Tool Varve { get; } = Ours("varve");

    /// <summary>Our executable under the daemon's name.</summary>
    public static Tool VarveDaemon { get; } = Ours("qemu-storage-daemon");

    /// <summary>Our executable under qemu-img's name.</summary>
    public static Tool VarveImg { get; } = Ours("qemu-img");

    public bool IsThere => Path is not null;

    /// <summary>Skips the test, naming what is missing.</summary>
    public static void Require(params Tool[] tools)
    {
        string missing = string.Join(", ", tools.Where(t => !t.IsThere).Select(t => t.Name));
        Assert.SkipUnless(missing.Length == 0, $"not installed: {missing}");
    }

    public ProcessStartInfo StartInfo(params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(Path ?? throw new InvalidOperationException($"{Name} is not installed"))
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        start.Environment["LC_ALL"] = "C";
        return start;
    }

    /// <summary>Runs the program to its end.</summary>
    public Task<ToolResult> RunAsync(params IEnumerable<string> arguments) => RunAsync(this, StartInfo(arguments), "", s_limit);

    /// <summary>Runs the program to its end in another working directory.</summary>
    public Task<ToolResult> RunInAsync(string directory, params IEnumerable<string> arguments)
    {
        ProcessStartInfo start = StartInfo(arguments);
        start.WorkingDirectory = directory;
        return RunAsync(this, start, "", s_limit);
    }

    /// <summary>Runs a prepared program to its end, with <paramref name="input"/> on its standard input.</summary>
    public static async Task<ToolResult> RunAsync(Tool tool, ProcessStartInfo start, string input, TimeSpan atMost)
    {
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        using var limit = new CancellationTokenSource(atMost);
        try
        {
            await process.StandardInput.WriteAsync(input);
            process.StandardInput.Close();
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{tool.Name} {string.Join(' ', start.ArgumentList)} did not end in {atMost.TotalMinutes} minutes");
        }

        return new ToolResult(process.ExitCode, await output, await error);
    }

    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(3);

    /// <summary>A program by its name.</summary>
    public static Tool Named(string name) => Find(name);

    private static Tool Find(string name) => new(name, $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin".Split(':')
        .Select(d => System.IO.Path.Combine(d, name)).FirstOrDefault(File.Exists));

    private static Tool Ours(string name)
    {
        string path = System.IO.Path.Combine(Repository.Root, "artifacts", "bin", name);
        return new Tool($"{name} (eng/build)", File.Exists(path) ? path : null);
    }
}

/// <summary>The checkout the tests were built from.</summary>
internal static class Repository
{
    public static string Root { get; } = FindRoot();

    private static string FindRoot()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            if (File.Exists(Path.Combine(at.FullName, "Varve.slnx"))) return at.FullName;
        }

        throw new InvalidOperationException("the tests run from inside the checkout");
    }
}
