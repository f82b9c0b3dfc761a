using Varve.Cli.CommandLine;
using Varve.Cli.Output;

namespace Varve.Cli.Inspect;

/// <summary><c>varve inspect</c>: a verdict on an image that nobody vouches for. Ours: the reference has nothing like it.</summary>
internal sealed class InspectTool(ToolConsole console)
{
    internal static readonly OptionTable Options = new(
        "hf:", ("help", "h"), ("format:", "f"), ("output:", null), ("max-virtual-size:", null));

    private InspectionOptions _options = new();
    private bool _isJson;

    /// <summary>Runs a command line.</summary>
    /// <returns>The process's exit status: 0, 2, 3 or 4 by the verdict, 1 when there is none.</returns>
    public async ValueTask<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        string? image = null;
        try
        {
            if (ReadArguments(arguments) is not [var only]) return 0;
            image = only;
            ImageInspection inspection = await ImageInspector.InspectAsync(image, _options, cancellationToken).ConfigureAwait(false);
            console.Out.Write(_isJson ? IndentedJson.Of(InspectionText.ToJson(image, inspection)) + "\n" : InspectionText.ForPeople(image, inspection));
            return ExitCode(inspection.Verdict);
        }
        catch (ToolException e)
        {
            console.ReportError(e.Message, e.Hint);
        }
        catch (BlockException e)
        {
            console.ReportError(image is null || e.Message.Contains(image, StringComparison.Ordinal) ? e.Message : $"Could not inspect '{image}': {e.Message}");
        }

        return 1;
    }

    /// <summary>The status that says the verdict to a script; 1 is for errors, as everywhere.</summary>
    internal static int ExitCode(InspectionVerdict verdict) => verdict switch
    {
        InspectionVerdict.Safe => 0,
        InspectionVerdict.RefersToFiles => 2,
        InspectionVerdict.Suspicious => 3,
        _ => 4,
    };

    private IReadOnlyList<string> ReadArguments(IReadOnlyList<string> arguments)
    {
        var reader = new OptionReader(Options, arguments);
        for (OptionEvent next; (next = reader.Next()) != OptionEvent.End;)
        {
            if (next != OptionEvent.Option) throw Usage(reader.Problem);
            switch (reader.Key)
            {
                case "h":
                    console.Out.Write(HelpText);
                    return [];
                case "f":
                    _options = _options with { Format = reader.Argument };
                    break;
                case "output":
                    _isJson = reader.Argument is "json" or "human"
                        ? reader.Argument == "json"
                        : throw new ToolException("--output must be used with human or json as argument.");
                    break;
                case "max-virtual-size":
                    _options = _options with { MaxVirtualSize = SizeArgument.Parse(console, "virtual size", reader.Argument) };
                    break;
            }
        }

        return reader.Operands.Count == 1 && reader.Operands[0].Length > 0 ? reader.Operands : throw Usage("Expecting one image file name");
    }

    private static ToolException Usage(string message) => new(message) { Hint = "Try 'varve inspect --help' for more information" };

    private const string HelpText = """
        usage: varve inspect [-f fmt] [--output=human|json] [--max-virtual-size=size] filename
        Says whether an image that nobody vouches for may be opened, and why

          -f, --format             the format it will be opened as; content of another format is suspicious
          --max-virtual-size       a larger virtual disk is suspicious; suffixes k, M, G, T, P, E
          --output                 human, or json for programs
          -h, --help               display this help and exit

        The format is found out by content. Only the named file is opened, read-only and without locks: nothing that it names is
        followed. At most 16 MiB of it are read.

        verdict           exit status
          safe              0    can be opened, and nothing else is opened with it
          refers-to-files   2    opening it opens other files: they are listed
          suspicious        3    contradicts itself or the specification, names something that is no plain file, or expands
          refused           4    cannot be opened by varve
          (none)            1    the file could not be read, or the command line is wrong

        Whether reference counts are right is for 'varve img check'.

        """;
}
