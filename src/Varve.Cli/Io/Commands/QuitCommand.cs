namespace Varve.Cli.Io.Commands;

/// <summary><c>quit</c>: the end.</summary>
internal sealed class QuitCommand : IoCommand
{
    public override string Name => "quit";

    public override string Alias => "q";

    public override string Summary => "exit the program";

    public override bool RunsWithoutImage => true;

    public override ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        engine.IsQuitting = true;
        return new(true);
    }
}
