using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;

namespace Varve.Cli.Img;

/// <summary><c>varve img</c>, also called <c>qemu-img</c>: one subcommand, then the end.</summary>
internal sealed class ImgTool(ToolConsole console)
{
    internal static readonly OptionTable Options = new("hVT:", ("help", "h"), ("version", "V"), ("trace:", "T"));

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
        var reader = new OptionReader(Options, arguments, OperandOrder.StopAtFirst);
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
        ImgVerb verb = ImgVerbs.Find(name) ?? throw ToolException.Usage($"Command not found: {name}");
        using var signal = new ProgressSignal();
        var context = new ToolContext(console) { ProgressSignal = signal };
        await using (context.ConfigureAwait(false))
        {
            return await verb.Create().RunAsync(context, verb, [.. reader.Operands.Skip(1)], cancellationToken).ConfigureAwait(false);
        }
    }
}
