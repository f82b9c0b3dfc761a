using Varve.Graph;

namespace Varve.Cli.Io.Commands;

/// <summary><c>alloc</c>: how much of a range the image holds itself.</summary>
internal sealed class AllocCommand : IoCommand
{
    public override string Name => "alloc";

    public override string Alias => "a";

    public override string Arguments => "offset [count]";

    public override string Summary => "checks if offset is allocated in the file";

    public override int MinArguments => 1;

    public override int MaxArguments => 2;

    public override async ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        long offset = IoNumbers.ParseSize(arguments[0]);
        long left = arguments.Count > 1 ? IoNumbers.ParseSize(arguments[1]) : Align.SectorSize;
        long allocated = 0, asked = 0;
        while (left > 0)
        {
            BlockRun run = await Allocation.FindAsync(engine.Image, offset + asked, left, cancellationToken).ConfigureAwait(false);
            if (run.Length == 0) break;
            if (run.IsAllocated) allocated += run.Length;
            asked += run.Length;
            left -= run.Length;
        }

        engine.Output.Print($"{allocated}/{asked} bytes allocated at offset {IoReport.Size(offset)}\n");
        return true;
    }
}
