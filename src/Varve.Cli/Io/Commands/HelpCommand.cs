namespace Varve.Cli.Io.Commands;

/// <summary><c>help</c>: the commands, or one of them.</summary>
internal sealed class HelpCommand : IoCommand
{
    public override string Name => "help";

    public override string Alias => "?";

    public override string Arguments => "[command]";

    public override string Summary => "help for one or all commands";

    public override int MaxArguments => 1;

    public override bool RunsWithoutImage => true;

    public override ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        if (arguments.Count == 0)
        {
            engine.Output.Print(string.Concat(engine.Commands.Select(c => c.Usage)) + "\nUse 'help commandname' for extended help.\n");
            return new(true);
        }

        if (engine.Find(arguments[0]) is not { } command) throw new IoRefusal($"command {arguments[0]} not found\n");
        engine.Output.Print(command.Usage + (command.Details is null ? "" : "\n" + command.Details));
        return new(true);
    }
}
