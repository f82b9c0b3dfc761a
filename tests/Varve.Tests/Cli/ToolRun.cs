using System.Diagnostics;
using Varve.Cli.Daemon;
using System.Text;
using Varve.Cli.Img;
using Varve.Cli.Inspect;
using Varve.Cli.Io;
using Varve.Cli.Output;

namespace Varve.Tests.Cli;

/// <summary>What a tool printed and how it ended.</summary>
internal sealed record ToolRun(int ExitCode, string Output, string Error)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    /// <summary>Runs our <c>img</c> inside the test process.</summary>
    public static async Task<ToolRun> ImgAsync(params string[] arguments)
    {
        using StringWriter output = new(), error = new();
        int exitCode = await new ImgTool(new ToolConsole("qemu-img", output, error)).RunAsync(arguments, TestContext.Current.CancellationToken);
        return new ToolRun(exitCode, output.ToString(), error.ToString());
    }

    /// <summary>Runs our <c>inspect</c> inside the test process.</summary>
    public static async Task<ToolRun> InspectAsync(params string[] arguments)
    {
        using StringWriter output = new(), error = new();
        int exitCode = await new InspectTool(new ToolConsole("varve inspect", output, error)).RunAsync(arguments, TestContext.Current.CancellationToken);
        return new ToolRun(exitCode, output.ToString(), error.ToString());
    }

    /// <summary>Runs our <c>io</c> inside the test process, with commands on its command line or from its input.</summary>
    public static async Task<ToolRun> IoAsync(string[] arguments, string input = "")
    {
        using StringWriter output = new(), error = new();
        using var stdin = new MemoryStream(Encoding.UTF8.GetBytes(input));
        int exitCode = await new IoTool(new ToolConsole("qemu-io", output, error), stdin).RunAsync(arguments, TestContext.Current.CancellationToken);
        return new ToolRun(exitCode, output.ToString(), error.ToString());
    }

    /// <summary>Runs our <c>io</c> with commands on its command line.</summary>
    public static Task<ToolRun> IoAsync(string image, params string[] commands)
        => IoAsync(["-f", "raw", .. commands.SelectMany(c => new[] { "-c", c }), image]);

    /// <summary>Runs our daemon inside the test process, for command lines that do not make it stay.</summary>
    public static async Task<ToolRun> DaemonAsync(params string[] arguments)
    {
        using StringWriter output = new(), error = new();
        using var stop = new CancellationTokenSource(s_patience);
        int exitCode = await new DaemonTool(new ToolConsole("qemu-storage-daemon", output, error)).RunAsync(arguments, stop.Token);
        return new ToolRun(exitCode, output.ToString(), error.ToString());
    }

    /// <summary>Runs the reference's tool; the test is skipped where it is not installed.</summary>
    public static Task<ToolRun> ReferenceAsync(string program, params string[] arguments) => ReferenceAsync(program, arguments, input: "");

    /// <summary>Runs the reference's tool with something to read.</summary>
    public static async Task<ToolRun> ReferenceAsync(string program, string[] arguments, string input)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/" + program), $"{program} is not installed");
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        using Process process = Process.Start(start)!;
        await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync().WaitAsync(s_patience);
        return new ToolRun(process.ExitCode, await output, await error);
    }
}

/// <summary>A folder of its own for a test, gone afterwards.</summary>
internal sealed class ImgFolder : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("varve-img-");

    /// <summary>The path of a file in it.</summary>
    public string this[string name] => Path.Combine(_folder.FullName, name);

    /// <summary>A raw file with a pattern in it.</summary>
    /// <param name="name">In the folder.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="pieces">Offsets at which 64 KiB of a byte stand; the rest is a hole.</param>
    public string Raw(string name, long length, params (long Offset, byte Value)[] pieces)
    {
        using var file = new FileStream(this[name], FileMode.Create);
        file.SetLength(length);
        foreach ((long offset, byte value) in pieces)
        {
            file.Position = offset;
            byte[] data = new byte[64.KiB];
            Array.Fill(data, value);
            file.Write(data, 0, (int)Math.Min(data.Length, length - offset));
        }

        return this[name];
    }

    public void Dispose() => _folder.Delete(recursive: true);
}
