using Varve.Cli.Interop;

namespace Varve.Cli.Io.Commands;

/// <summary><c>sigraise</c>: sends the process a signal, to see what an image looks like after a crash.</summary>
internal sealed class SigraiseCommand : IoCommand
{
    private const int MaxSignal = 64;

    public override string Name => "sigraise";

    public override string Arguments => "signal";

    public override string Summary => "raises a signal";

    public override string Details => """
         sigraise 9     ends the program as kill -9 does

        """;

    public override int MinArguments => 1;

    public override int MaxArguments => 1;

    public override bool RunsWithoutImage => true;

    public override ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        long signal = IoNumbers.ParseSize(arguments[0]);
        if (signal > MaxSignal) throw new IoRefusal($"signal argument '{arguments[0]}' is too large to be a valid signal\n");
        engine.Output.Flush();   // what was printed is to be seen whatever the signal does
        Libc.Raise((int)signal);
        return new(true);
    }
}
