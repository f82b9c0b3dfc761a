using Varve.Cli.CommandLine;
using Varve.Graph;
using Varve.IO;

namespace Varve.Cli.Io.Commands;

/// <summary><c>writev</c>: writes from several buffers with one request.</summary>
internal sealed class WritevCommand : IoCommand
{
    private static readonly OptionTable s_options = new("CfP:qr");

    public override string Name => "writev";

    public override string Arguments => "[-Cfqr] [-P pattern] off len [len..]";

    public override string Summary => "writes a number of bytes at a specified offset";

    public override string Details => """
         -P  this byte (0xcd)                         -f  durable when done
         -C  statistics for programs                  -q  print nothing on success
         -r  from a registered buffer

         writev 512 1k 1k     writes 2 KiB at 512 from two buffers

        """;

    public override int MinArguments => 2;

    public override int MaxArguments => Unlimited;

    public override BlockPermissions Permissions => BlockPermissions.Write;

    public override async ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        var printing = new IoRequestPrinting();
        byte pattern = IoRequest.WriteFill;
        bool isFua = false;
        IReadOnlyList<string> operands = ReadOptions(s_options, arguments, (option, argument) =>
        {
            switch (option)
            {
                case 'C': printing.IsForMachines = true; break;
                case 'f': isFua = true; break;
                case 'P': pattern = IoNumbers.ParsePattern(argument); break;
                case 'q': printing.IsQuiet = true; break;
            }
        });
        RequireOperands(operands, 2, Unlimited);
        long offset = IoNumbers.ParseSize(operands[0]);
        int length = IoNumbers.ParseVector(operands.Skip(1));
        using IOBuffer buffer = IoRequest.Rent(engine, length, pattern, out Memory<byte> data);
        TimeSpan? elapsed = await IoRequest.TimeAsync(
            engine.Output.Print, Name, () => engine.Image.WriteAsync(offset, data, IoRequest.Flags(engine, isFua), cancellationToken)).ConfigureAwait(false);
        if (elapsed is null) return false;
        IoRequest.Report(engine.Output.Print, printing, "wrote", offset, length, elapsed.Value, default);
        return true;
    }
}
