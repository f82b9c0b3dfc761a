using Varve.Cli.CommandLine;
using Varve.Graph;

namespace Varve.Cli.Io.Commands;

/// <summary><c>discard</c>: says that a range is no longer needed.</summary>
internal sealed class DiscardCommand : IoCommand
{
    private static readonly OptionTable s_options = new("Cq");

    public override string Name => "discard";

    public override string Alias => "d";

    public override string Arguments => "[-Cq] off len";

    public override string Summary => "discards a number of bytes at a specified offset";

    public override string Details => """
         -C  statistics for programs                  -q  print nothing on success

         discard 512 1k     gives up 1 KiB from 512 on

        """;

    public override int MinArguments => 2;

    public override int MaxArguments => Unlimited;

    public override BlockPermissions Permissions => BlockPermissions.Write;

    public override async ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        var printing = new IoRequestPrinting();
        IReadOnlyList<string> operands = ReadOptions(s_options, arguments, (option, _) =>
        {
            if (option == 'C') printing.IsForMachines = true;
            else printing.IsQuiet = true;
        });
        RequireOperands(operands, 2, 2);
        long offset = IoNumbers.ParseSize(operands[0]);
        int length = IoNumbers.ParseLength(operands[1]);
        TimeSpan? elapsed = await IoRequest.TimeAsync(engine.Output.Print, Name, () => engine.Image.DiscardAsync(offset, length, cancellationToken)).ConfigureAwait(false);
        if (elapsed is null) return false;
        IoRequest.Report(engine.Output.Print, printing, Name, offset, length, elapsed.Value, default);
        return true;
    }
}
