using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;

namespace Varve.Cli.Img;

/// <summary><c>varve img</c>, also called <c>qemu-img</c>: one subcommand, then the end.</summary>
internal sealed class ImgTool(ToolConsole console)
{
    private static readonly OptionTable s_options = new("hVT:", ("help", "h"), ("version", "V"), ("trace:", "T"));

    /// <summary>Runs a command line.</summary>
    /// <returns>The process's exit status.</returns>
    public async ValueTask<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        try
        {
            return await DispatchAsync(arguments, cancellationToken).ConfigureAwait(false);
        }
        catch (ToolException e)
        {
            console.ReportError(e.Message, e.Hint);
            return e.ExitCode;
        }
        catch (BlockException e)
        {
            console.ReportError(e.Message, e.Hint);
            return 1;
        }
    }

    private async ValueTask<int> DispatchAsync(IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        var reader = new OptionReader(s_options, arguments, OperandOrder.StopAtFirst);
        for (OptionEvent next; (next = reader.Next()) != OptionEvent.End;)
        {
            switch (next, reader.Key)
            {
                case (OptionEvent.Option, "h"):
                    console.Out.Write(ImgHelp.Text(console.ProgramName));
                    return 0;
                case (OptionEvent.Option, "V"):
                    console.Out.Write(ToolVersion.Lines(console.ProgramName));
                    return 0;
                case (OptionEvent.Option, "T"):
                    break;   // there are no trace points to switch on
                default:
                    throw ImgCommand.OptionProblem(next, reader);
            }
        }

        if (reader.Operands.Count == 0) throw ToolException.Usage("Not enough arguments");
        string name = reader.Operands[0];
        ImgCommand command = Find(name) ?? throw ToolException.Usage($"Command not found: {name}");
        var context = new ToolContext(console);
        await using (context.ConfigureAwait(false))
        {
            return await command.RunAsync(context, [.. reader.Operands.Skip(1)], cancellationToken).ConfigureAwait(false);
        }
    }

    private static ImgCommand? Find(string name) => name switch
    {
        "amend" => new AmendCommand(),
        "bench" => new BenchCommand(),
        "check" => new CheckCommand(),
        "commit" => new CommitCommand(),
        "compare" => new CompareCommand(),
        "convert" => new ConvertCommand(),
        "create" => new CreateCommand(),
        "dd" => new DdCommand(),
        "info" => new InfoCommand(),
        "map" => new MapCommand(),
        "rebase" => new RebaseCommand(),
        "resize" => new ResizeCommand(),
        _ => null,
    };
}
