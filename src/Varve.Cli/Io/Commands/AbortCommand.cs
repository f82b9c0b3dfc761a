using Varve.Cli.Interop;

namespace Varve.Cli.Io.Commands;

/// <summary><c>abort</c>: ends the program as a failed assertion would.</summary>
internal sealed class AbortCommand : IoCommand
{
    private const int Sigabrt = 6;

    public override string Name => "abort";

    public override string Summary => "simulate a program crash using abort(3)";

    public override bool RunsWithoutImage => true;

    public override ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        engine.Output.Flush();
        Libc.Raise(Sigabrt);
        return new(false);
    }
}
