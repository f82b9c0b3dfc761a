using Varve.Cli.CommandLine;
using Varve.IO;

namespace Varve.Cli.Io.Commands;

/// <summary><c>aio_read</c>: starts a read; its outcome is printed when it completes.</summary>
internal sealed class AioReadCommand : IoCommand
{
    private static readonly OptionTable s_options = new("CP:iqrv");

    public override string Name => "aio_read";

    public override string Arguments => "[-Ciqrv] [-P pattern] off len [len..]";

    public override string Summary => "asynchronously reads a number of bytes";

    public override string Details => """
         -C  statistics for programs                  -P  every byte must be this one
         -q  print nothing on success                 -v  print what was read
         -r  in a registered buffer                   -i  an invalid request, for the statistics

         The command succeeds when the request is started. aio_flush waits for it.

        """;

    public override int MinArguments => 2;

    public override int MaxArguments => Unlimited;

    public override bool Waits => false;

    public override ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        var printing = new IoRequestPrinting();
        byte? pattern = null;
        bool isInvalid = false;
        IReadOnlyList<string> operands = ReadOptions(s_options, arguments, (option, argument) =>
        {
            switch (option)
            {
                case 'C': printing.IsForMachines = true; break;
                case 'P': pattern = IoNumbers.ParsePattern(argument); break;
                case 'i': isInvalid = true; break;
                case 'q': printing.IsQuiet = true; break;
                case 'v': printing.DumpsData = true; break;
            }
        });
        if (isInvalid)
        {
            engine.Output.Print("injecting invalid read request\n");
            return new(true);
        }

        RequireOperands(operands, 2, Unlimited);
        long offset = IoNumbers.ParseSize(operands[0]);
        int length = IoNumbers.ParseVector(operands.Skip(1));
        engine.InFlight.Start(print => ReadAsync(engine, print, offset, length, pattern, printing, cancellationToken));
        return new(true);
    }

    private static async Task ReadAsync(
        IoEngine engine, Action<string> print, long offset, int length, byte? pattern, IoRequestPrinting printing, CancellationToken cancellationToken)
    {
        using IOBuffer buffer = IoRequest.Rent(engine, length, IoRequest.ReadFill, out Memory<byte> data);
        TimeSpan? elapsed = await IoRequest.TimeAsync(print, "readv", () => engine.Image.ReadAsync(offset, data, cancellationToken)).ConfigureAwait(false);
        if (elapsed is null) return;
        IoRequest.Verify(print, data.Span, pattern, offset);
        IoRequest.Report(print, printing, "read", offset, length, elapsed.Value, data.Span);
    }
}
