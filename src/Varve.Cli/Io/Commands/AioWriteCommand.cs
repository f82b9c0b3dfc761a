using Varve.Cli.CommandLine;
using Varve.Graph;
using Varve.IO;

namespace Varve.Cli.Io.Commands;

/// <summary><c>aio_write</c>: starts a write; its outcome is printed when it completes.</summary>
internal sealed class AioWriteCommand : IoCommand
{
    private static readonly OptionTable s_options = new("CfiP:qruz");

    public override string Name => "aio_write";

    public override string Arguments => "[-Cfiqruz] [-P pattern] off len [len..]";

    public override string Summary => "asynchronously writes a number of bytes";

    public override string Details => """
         -P  this byte (0xcd)                         -f  durable when done
         -z  zeros, without writing them              -u  with -z: space may be given back
         -C  statistics for programs                  -q  print nothing on success
         -r  from a registered buffer                 -i  an invalid request, for the statistics

         The command succeeds when the request is started. aio_flush waits for it.

        """;

    public override int MinArguments => 2;

    public override int MaxArguments => Unlimited;

    public override BlockPermissions Permissions => BlockPermissions.Write;

    public override bool Waits => false;

    public override ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        var printing = new IoRequestPrinting();
        byte pattern = IoRequest.WriteFill;
        bool isFua = false, isZero = false, mayUnmap = false, isInvalid = false;
        IReadOnlyList<string> operands = ReadOptions(s_options, arguments, (option, argument) =>
        {
            switch (option)
            {
                case 'C': printing.IsForMachines = true; break;
                case 'f': isFua = true; break;
                case 'i': isInvalid = true; break;
                case 'P': pattern = IoNumbers.ParsePattern(argument); break;
                case 'q': printing.IsQuiet = true; break;
                case 'u': mayUnmap = true; break;
                case 'z': isZero = true; break;
            }
        });
        if (isInvalid)
        {
            engine.Output.Print("injecting invalid write request\n");
            return new(true);
        }

        RequireOperands(operands, 2, Unlimited);
        if (isZero && operands.Count != 2) throw new IoRefusal("-z supports only a single length parameter\n");
        if (mayUnmap && !isZero) throw new IoRefusal("-u requires -z to be specified\n");
        long offset = IoNumbers.ParseSize(operands[0]);
        if (isZero)
        {
            long zeros = IoNumbers.ParseSize(operands[1]);
            ZeroFlags flags = IoRequest.Flags(engine, isFua, mayUnmap, noFallback: false);
            engine.InFlight.Start(print => RunAsync(
                print, offset, zeros, printing, () => engine.Image.WriteZeroesAsync(offset, zeros, flags, cancellationToken)));
            return new(true);
        }

        int length = IoNumbers.ParseVector(operands.Skip(1));
        engine.InFlight.Start(print => WriteAsync(engine, print, offset, length, pattern, isFua, printing, cancellationToken));
        return new(true);
    }

    private static async Task WriteAsync(
        IoEngine engine, Action<string> print, long offset, int length, byte pattern, bool isFua, IoRequestPrinting printing, CancellationToken cancellationToken)
    {
        using IOBuffer buffer = IoRequest.Rent(engine, length, pattern, out Memory<byte> data);
        await RunAsync(
            print, offset, length, printing, () => engine.Image.WriteAsync(offset, data, IoRequest.Flags(engine, isFua), cancellationToken)).ConfigureAwait(false);
    }

    private static async Task RunAsync(Action<string> print, long offset, long length, IoRequestPrinting printing, Func<ValueTask> request)
    {
        TimeSpan? elapsed = await IoRequest.TimeAsync(print, "aio_write", request).ConfigureAwait(false);
        if (elapsed is not null) IoRequest.Report(print, printing, "wrote", offset, length, elapsed.Value, default);
    }
}
