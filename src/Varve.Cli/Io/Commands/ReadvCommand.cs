using Varve.Cli.CommandLine;
using Varve.IO;

namespace Varve.Cli.Io.Commands;

/// <summary><c>readv</c>: reads into several buffers with one request.</summary>
/// <remarks>The block layer takes one buffer a request, so the pieces are parts of one.</remarks>
internal sealed class ReadvCommand : IoCommand
{
    private static readonly OptionTable s_options = new("CP:qrv");

    public override string Name => "readv";

    public override string Arguments => "[-Cqrv] [-P pattern] off len [len..]";

    public override string Summary => "reads a number of bytes at a specified offset";

    public override string Details => """
         -C  statistics for programs                  -P  every byte must be this one
         -q  print nothing on success                 -v  print what was read
         -r  in a registered buffer

         readv -v 512 1k 1k     shows 2 KiB from 512 on, read into two buffers

        """;

    public override int MinArguments => 2;

    public override int MaxArguments => Unlimited;

    public override async ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        var printing = new IoRequestPrinting();
        byte? pattern = null;
        IReadOnlyList<string> operands = ReadOptions(s_options, arguments, (option, argument) =>
        {
            switch (option)
            {
                case 'C': printing.IsForMachines = true; break;
                case 'P': pattern = IoNumbers.ParsePattern(argument); break;
                case 'q': printing.IsQuiet = true; break;
                case 'v': printing.DumpsData = true; break;
            }
        });
        RequireOperands(operands, 2, Unlimited);
        long offset = IoNumbers.ParseSize(operands[0]);
        int length = IoNumbers.ParseVector(operands.Skip(1));
        using IOBuffer buffer = IoRequest.Rent(engine, length, IoRequest.ReadFill, out Memory<byte> data);
        TimeSpan? elapsed = await IoRequest.TimeAsync(engine.Output.Print, Name, () => engine.Image.ReadAsync(offset, data, cancellationToken)).ConfigureAwait(false);
        if (elapsed is null) return false;
        bool isRight = IoRequest.Verify(engine.Output.Print, data.Span, pattern, offset);
        IoRequest.Report(engine.Output.Print, printing, "read", offset, length, elapsed.Value, data.Span);
        return isRight;
    }
}
