using Varve.Cli.CommandLine;
using Varve.IO;

namespace Varve.Cli.Io.Commands;

/// <summary><c>read</c>: reads, and checks or shows what was read.</summary>
internal sealed class ReadCommand : IoCommand
{
    private static readonly OptionTable s_options = new("bCl:pP:qrs:v");

    public override string Name => "read";

    public override string Alias => "r";

    public override string Arguments => "[-abCqrv] [-P pattern [-s off] [-l len]] off len";

    public override string Summary => "reads a number of bytes at a specified offset";

    public override string Details => """
         -b  of the VM state instead of the disk      -C  statistics for programs
         -P  every byte must be this one              -s, -l  where in what was read that holds (with -P)
         -q  print nothing on success                 -v  print what was read
         -r  in a registered buffer                   -p  accepted, means nothing

         read -v 512 1k     shows the second and third sector

        """;

    public override int MinArguments => 2;

    public override int MaxArguments => Unlimited;

    public override async ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        var printing = new IoRequestPrinting();
        bool isVmState = false;
        byte? pattern = null;
        long? patternStart = null, patternLength = null;
        IReadOnlyList<string> operands = ReadOptions(s_options, arguments, (option, argument) =>
        {
            switch (option)
            {
                case 'b': isVmState = true; break;
                case 'C': printing.IsForMachines = true; break;
                case 'l': patternLength = IoNumbers.ParseSize(argument); break;
                case 'P': pattern = IoNumbers.ParsePattern(argument); break;
                case 'q': printing.IsQuiet = true; break;
                case 's': patternStart = IoNumbers.ParseSize(argument); break;
                case 'v': printing.DumpsData = true; break;
            }
        });
        RequireOperands(operands, 2, 2);
        long offset = IoNumbers.ParseSize(operands[0]);
        int length = IoNumbers.ParseLength(operands[1]);
        if (pattern is null && (patternStart ?? patternLength) is not null) throw new IoRefusal(Usage);
        (int checkedStart, int checkedLength) = VerifiedRange(length, patternStart ?? 0, patternLength);
        if (isVmState) RequireSectors(offset, length);

        using IOBuffer buffer = IoRequest.Rent(engine, length, IoRequest.ReadFill, out Memory<byte> data);
        TimeSpan? elapsed = await IoRequest.TimeAsync(engine.Output.Print, Name, () => isVmState
            ? engine.Image.ReadVmStateAsync(offset, data, cancellationToken)
            : engine.Image.ReadAsync(offset, data, cancellationToken)).ConfigureAwait(false);
        if (elapsed is null) return false;
        bool isRight = IoRequest.Verify(engine.Output.Print, data.Span.Slice(checkedStart, checkedLength), pattern, offset + checkedStart);
        IoRequest.Report(engine.Output.Print, printing, Name, offset, length, elapsed.Value, data.Span);
        return isRight;
    }

    /// <summary>VM state is moved in whole sectors.</summary>
    internal static void RequireSectors(long offset, long length)
    {
        if (!Align.Is(offset, Align.SectorSize)) throw new IoRefusal($"{offset} is not a sector-aligned value for 'offset'\n");
        if (!Align.Is(length, Align.SectorSize)) throw new IoRefusal($"{length} is not a sector-aligned value for 'count'\n");
    }

    private static (int Start, int Length) VerifiedRange(int length, long start, long? wanted)
    {
        if (start > length || (wanted ?? 0) > length - start) throw new IoRefusal("pattern verification range exceeds end of read data\n");
        return ((int)start, (int)(wanted ?? length - start));
    }
}
