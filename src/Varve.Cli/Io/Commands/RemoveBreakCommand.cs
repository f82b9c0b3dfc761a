using Varve.Filters.BlkDebug;

namespace Varve.Cli.Io.Commands;

/// <summary><c>remove_break</c>: takes a breakpoint away; what it stopped goes on.</summary>
internal sealed class RemoveBreakCommand : IoCommand
{
    public override string Name => "remove_break";

    public override string Arguments => "tag";

    public override string Summary => "remove a breakpoint by tag";

    public override int MinArguments => 1;

    public override int MaxArguments => 1;

    public override bool Waits => false;

    public override ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        try
        {
            if (!BlkDebugNode.FindBelow(engine.Image.Node).Rules.RemoveBreakpoint(arguments[0])) throw BlockException.FromErrno(Errno.ENOENT);
            return new(true);
        }
        catch (BlockException e)
        {
            throw new IoRefusal($"Could not remove breakpoint {arguments[0]}: {Errno.Text(e.Errno)}\n");
        }
    }
}
