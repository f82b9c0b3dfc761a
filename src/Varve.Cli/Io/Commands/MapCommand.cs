using Varve.Graph;

namespace Varve.Cli.Io.Commands;

/// <summary><c>map</c>: which parts the image holds itself.</summary>
internal sealed class MapCommand : IoCommand
{
    public override string Name => "map";

    public override string Arguments => "";

    public override string Summary => "prints the allocated areas of a file";

    public override async ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        long end = engine.Image.Length, start = 0, next = 0;
        bool isAllocated = false;
        while (next < end)
        {
            BlockRun run = await FindAsync(engine, next, end - next, cancellationToken).ConfigureAwait(false);
            if (run.Length == 0) break;
            if (next > start && run.IsAllocated != isAllocated)
            {
                Print(engine, start, next - start, isAllocated);
                start = next;
            }

            isAllocated = run.IsAllocated;
            next += run.Length;
        }

        if (next > start) Print(engine, start, next - start, isAllocated);
        return true;
    }

    private static async ValueTask<BlockRun> FindAsync(IoEngine engine, long offset, long length, CancellationToken cancellationToken)
    {
        try
        {
            return await Allocation.FindAsync(engine.Image, offset, length, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            throw new BlockException(e.Kind, $"Failed to get allocation status: {e.Message}", e) { Errno = e.Errno };
        }
    }

    private static void Print(IoEngine engine, long start, long length, bool isAllocated) => engine.Output.Print(
        $"{IoReport.Size(length)} (0x{length:x}) bytes {(isAllocated ? "    allocated" : "not allocated")} at offset {IoReport.Size(start)} (0x{start:x})\n");
}
