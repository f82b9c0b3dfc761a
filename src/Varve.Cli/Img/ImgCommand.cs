using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;
using Varve.Objects;
using Varve.Options;

namespace Varve.Cli.Img;

/// <summary>A subcommand of <c>img</c>: its options become fields, then it runs.</summary>
internal abstract class ImgCommand
{
    private ProgressStyle _progress = ProgressStyle.OnRequest;

    /// <summary>The options it takes.</summary>
    internal protected abstract OptionTable Options { get; }

    /// <summary>Reads the arguments and does the work.</summary>
    /// <returns>The exit status.</returns>
    public async ValueTask<int> RunAsync(ToolContext context, ImgVerb verb, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        context.TakesForceShare = Options.TryFind('U', out _);
        var reader = new OptionReader(Options, TakeLastOperand(arguments));
        for (OptionEvent next; (next = reader.Next()) != OptionEvent.End;)
        {
            if (next != OptionEvent.Option) throw OptionProblem(next, reader);
            switch (reader.Key)
            {
                case "h":
                    context.Console.Out.Write(ImgHelp.OfVerb(context.Console.ProgramName, verb));
                    return 0;
                case "object":
                    if (ObjectHelp.Find(reader.Argument) is { } help)
                    {
                        context.Console.Out.Write(help);
                        return 0;
                    }

                    context.Objects.Add(OptionChecker.Parse(ObjectOptions.Type, reader.Argument, "qom-type"));
                    break;
                case "progress":
                    _progress = reader.Argument switch
                    {
                        "json" => ProgressStyle.Json,
                        "bar" => ProgressStyle.Bar,
                        "none" => ProgressStyle.None,
                        _ => throw new ToolException("--progress must be used with json, bar or none as argument."),
                    };
                    break;
                default:
                    SetOption(context, reader.Key, reader.Argument);
                    break;
            }
        }

        return await ExecuteAsync(context, reader.Operands, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Takes an operand off that must not be taken for an option.</summary>
    /// <returns>The arguments to read.</returns>
    protected virtual IReadOnlyList<string> TakeLastOperand(IReadOnlyList<string> arguments) => arguments;

    /// <summary>Starts to show progress, in the way the command line asks for.</summary>
    /// <param name="context">The console.</param>
    /// <param name="phase">What is being done, in a word.</param>
    /// <param name="isAsked"><c>-p</c> was given, and not <c>-q</c>.</param>
    protected ProgressMeter OpenProgress(ToolContext context, string phase, bool isAsked = false)
        => new(context.Console, _progress == ProgressStyle.OnRequest && isAsked ? ProgressStyle.Percent : _progress, context.ProgressSignal, phase);

    /// <summary>Takes note of an option.</summary>
    /// <exception cref="ToolException">The argument is refused.</exception>
    protected abstract void SetOption(ToolContext context, string key, string argument);

    /// <summary>Does the work.</summary>
    /// <returns>The exit status.</returns>
    protected abstract ValueTask<int> ExecuteAsync(ToolContext context, IReadOnlyList<string> operands, CancellationToken cancellationToken);

    /// <summary>How the reference names an option it does not know, or one that lacks its argument.</summary>
    internal static ToolException OptionProblem(OptionEvent problem, OptionReader reader) => ToolException.Usage(
        problem == OptionEvent.MissingArgument
            ? $"missing argument for option '{reader.LastRead}'"
            : $"unrecognized option '{reader.LastRead}'");

    /// <summary>The argument of <c>--output</c>: true for JSON.</summary>
    protected static bool ParseOutputFormat(string word) => word switch
    {
        "json" => true,
        "human" => false,
        _ => throw new ToolException("--output must be used with human or json as argument."),
    };
}
