using Varve.Cli.Completion;
using Varve.Cli.Daemon;
using Varve.Cli.Img;
using Varve.Cli.Inspect;
using Varve.Cli.Io;
using Varve.Cli.Nbd;
using Varve.Cli.Output;

namespace Varve.Cli;

/// <summary>The one executable: a tool is chosen by the name it is called by, or by the first argument.</summary>
internal static class Program
{
    private static Task<int> Main(string[] args)
    {
        // While there is one thread. Two that meet AppContext and a lock's statics for the first time at once wait for each other for ever: the
        // runtime's locks read AppContext when they first have to wait, which may be inside of a class constructor (.NET 10.0, native AOT).
        AppContext.TryGetSwitch("Varve.Start", out _);
        string calledAs = Path.GetFileName(Environment.GetCommandLineArgs()[0]);
        return ToolOfLink(calledAs) is { } tool ? RunToolAsync(tool, calledAs, args) : RunVarveAsync(calledAs, args);
    }

    private static string? ToolOfLink(string name) => name switch
    {
        "qemu-img" => "img",
        "qemu-io" => "io",
        "qemu-nbd" => "nbd",
        "qemu-storage-daemon" => "daemon",
        _ => null,
    };

    private static async Task<int> RunToolAsync(string tool, string programName, IReadOnlyList<string> arguments)
    {
        // Scripts that read both streams of qemu-io at once know its errors before what is still in the buffer.
        ToolConsole console = ToolConsole.OfProcess(programName, keepsOrder: tool != "io" || !Console.IsOutputRedirected);
        try
        {
            return tool switch
            {
                "img" => await new ImgTool(console).RunAsync(arguments, CancellationToken.None).ConfigureAwait(false),
                "inspect" => await new InspectTool(console).RunAsync(arguments, CancellationToken.None).ConfigureAwait(false),
                "io" => await new IoTool(console, Console.OpenStandardInput()).RunAsync(arguments, CancellationToken.None).ConfigureAwait(false),
                "nbd" => await new NbdTool(console).RunAsync(arguments).ConfigureAwait(false),
                _ => await new DaemonTool(console).RunAsync(arguments).ConfigureAwait(false),
            };
        }
        finally
        {
            console.Out.Flush();
        }
    }

    private static async Task<int> RunVarveAsync(string calledAs, string[] args)
    {
        // Errors keep the reference's program names: scripts that move from "qemu-img" to "varve img" still match them.
        switch (args.Length == 0 ? "" : args[0])
        {
            case "img": return await RunToolAsync("img", "qemu-img", args[1..]).ConfigureAwait(false);
            case "inspect": return await RunToolAsync("inspect", "varve inspect", args[1..]).ConfigureAwait(false);
            case "io": return await RunToolAsync("io", "qemu-io", args[1..]).ConfigureAwait(false);
            case "nbd": return await RunToolAsync("nbd", "qemu-nbd", args[1..]).ConfigureAwait(false);
            case "daemon": return await RunToolAsync("daemon", "qemu-storage-daemon", args[1..]).ConfigureAwait(false);
        }

        ToolConsole console = ToolConsole.OfProcess(calledAs);
        switch (args.Length == 0 ? "" : args[0])
        {
            case "-V" or "--version":
                console.Out.Write($"varve {ToolVersion.Own}\n{ToolVersion.Copyright}\n");
                break;
            case "-h" or "--help" or "help":
                console.Out.Write(HelpText);
                break;
            case "completion":
                int status = new CompletionTool(console).Run(args[1..]);
                console.Out.Flush();
                return status;
            case "":
                console.WriteError(HelpText);
                return 1;
            default:
                console.ReportError($"unknown tool '{args[0]}'", $"Try '{calledAs} --help' for more information");
                return 1;
        }

        console.Out.Flush();
        return 0;
    }

    private const string HelpText = """
        usage: varve TOOL [options]
        A block layer for disk images in chains: qcow2 and raw, live block jobs, NBD, QMP

          varve img      create, inspect, check, compare and convert images   (as qemu-img)
          varve inspect  say whether an image that nobody vouches for may be opened, and why
          varve io       read, write and exercise an image by hand            (as qemu-io)
          varve nbd      serve one image over NBD, list what a server offers  (as qemu-nbd)
          varve daemon   serve images over NBD, controlled over QMP           (as qemu-storage-daemon)
          varve completion   print what bash, zsh or fish read to complete command lines

          -h, --help     display this help and exit; 'varve TOOL --help' for a tool's own
          -V, --version  output version information and exit

        Called by the name qemu-img, qemu-io, qemu-nbd or qemu-storage-daemon (by a link), varve is that program.

        """;
}
