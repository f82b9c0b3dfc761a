using System.Text;
using System.Text.Json.Nodes;
using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;
using Varve.Objects;
using Varve.Options;

namespace Varve.Cli.Io;

/// <summary><c>varve io</c>, also called <c>qemu-io</c>: runs commands on an image, from the command line or from its input.</summary>
/// <param name="console">Where it prints.</param>
/// <param name="input">Where commands come from when the command line has none.</param>
internal sealed class IoTool(ToolConsole console, Stream input)
{
    internal static readonly OptionTable Options = new(
        "hVc:d:f:rsnCmki:t:T:U", ("help", "h"), ("version", "V"), ("cmd:", "c"), ("format:", "f"), ("read-only", "r"), ("snapshot", "s"),
        ("nocache", "n"), ("copy-on-read", "C"), ("misalign", "m"), ("native-aio", "k"), ("aio:", "i"), ("cache:", "t"), ("discard:", "d"),
        ("trace:", "T"), ("force-share", "U"), ("object:", null), ("image-opts", null));

    /// <summary>Bytes: a script from a pipe comes whole.</summary>
    private const int InputBufferSize = 64 * 1024;

    private readonly IoOutput _output = new(console);
    private readonly List<string> _commands = [], _objects = [];
    private IoOpening _opening = new();
    private string? _format;
    private bool _isOptions, _misaligns;

    /// <summary>Runs a command line.</summary>
    /// <returns>The process's exit status: 1 where the image could not be opened or a command failed.</returns>
    public async ValueTask<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        var context = new ToolContext(console);
        await using (context.ConfigureAwait(false))
        {
            try
            {
                if (ReadArguments(arguments, out string? file) is { } exitCode) return exitCode;
                foreach (string text in _objects) context.Objects.Add(OptionChecker.Parse(ObjectOptions.Type, text, "qom-type"));
                return await RunAsync(context, file, cancellationToken).ConfigureAwait(false);
            }
            catch (BlockException e)
            {
                console.ReportError(e.Message, e.Hint);
                return 1;
            }
        }
    }

    /// <summary>Reads the command line into fields.</summary>
    /// <returns>The exit status, when that is all there is to do.</returns>
    private int? ReadArguments(IReadOnlyList<string> arguments, out string? file)
    {
        file = null;
        var reader = new OptionReader(Options, arguments);
        for (OptionEvent next; (next = reader.Next()) != OptionEvent.End;)
        {
            if (next != OptionEvent.Option)
            {
                console.ReportError(reader.Problem);
                return ShowHelp(exitCode: 1);
            }

            switch (reader.Key)
            {
                case "h": return ShowHelp(exitCode: 0);
                case "V":
                    console.Out.Write(ToolVersion.Lines(console.ProgramName));
                    return 0;
                case "object" when ObjectHelp.Find(reader.Argument) is { } help:
                    console.Out.Write(help);
                    return 0;
                case "object": _objects.Add(reader.Argument); break;
                case "image-opts": _isOptions = true; break;
                case "c": _commands.Add(reader.Argument); break;
                case "f": _format = reader.Argument; break;
                case "m": _misaligns = true; break;
                case "T": break;   // there are no trace points to switch on
                default: _opening = _opening.With(reader.Key[0], reader.Argument); break;
            }
        }

        if (reader.Operands.Count > 1) return ShowHelp(exitCode: 1);
        file = reader.Operands.Count == 0 ? null : reader.Operands[0];
        if (_format is null || !_isOptions) return null;
        console.ReportError("--image-opts and -f are mutually exclusive");
        return 1;
    }

    private int ShowHelp(int exitCode)
    {
        console.Out.Write(IoHelp.Text(console.ProgramName));
        return exitCode;
    }

    private async ValueTask<int> RunAsync(ToolContext context, string? file, CancellationToken cancellationToken)
    {
        var images = new IoImages(context, _output) { TakesOptions = _isOptions };
        var engine = new IoEngine(context.Graph, _output, IoCommands.ForTool(images)) { MisalignsBuffers = _misaligns };
        try
        {
            if (file is not null)
            {
                JsonObject options = _isOptions ? OptionString.Parse(file, impliedKey: "file", images.Warn) : [];
                if (_format is not null) options["driver"] = _format;
                await images.OpenAsync(engine, _opening, _isOptions ? null : file, options, cancellationToken).ConfigureAwait(false);
            }

            bool succeeded = _commands.Count > 0
                ? await RunCommandsAsync(engine, cancellationToken).ConfigureAwait(false)
                : await RunInputAsync(engine, cancellationToken).ConfigureAwait(false);
            return succeeded ? 0 : 1;
        }
        finally
        {
            await images.CloseAsync(engine).ConfigureAwait(false);
        }
    }

    private async ValueTask<bool> RunCommandsAsync(IoEngine engine, CancellationToken cancellationToken)
    {
        bool succeeded = true;
        for (int i = 0; i < _commands.Count && !engine.IsQuitting; i++)
        {
            succeeded &= await engine.RunAsync(_commands[i], cancellationToken).ConfigureAwait(false);
        }

        return succeeded;
    }

    private async ValueTask<bool> RunInputAsync(IoEngine engine, CancellationToken cancellationToken)
    {
        bool succeeded = true;
        using var lines = new StreamReader(input, Encoding.UTF8, bufferSize: InputBufferSize, leaveOpen: true);
        while (!engine.IsQuitting)
        {
            _output.Print($"{console.ProgramName}> ");
            _output.Flush();
            if (await ReadLineAsync(lines, engine, cancellationToken).ConfigureAwait(false) is not { } line) break;
            succeeded &= await engine.RunAsync(line, cancellationToken).ConfigureAwait(false);
        }

        return succeeded;
    }

    /// <summary>The next line of input; what requests in flight print comes while there is none.</summary>
    private static async ValueTask<string?> ReadLineAsync(StreamReader lines, IoEngine engine, CancellationToken cancellationToken)
    {
        ValueTask<string?> line = lines.ReadLineAsync(cancellationToken);
        using IDisposable? printing = line.IsCompleted ? null : engine.InFlight.PrintOutcomes();
        return await line.ConfigureAwait(false);
    }
}
