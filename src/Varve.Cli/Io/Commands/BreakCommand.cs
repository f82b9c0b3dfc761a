using Varve.Filters.BlkDebug;
using Varve.Graph;

namespace Varve.Cli.Io.Commands;

/// <summary><c>break</c>: suspends the next request that comes to an event of <c>blkdebug</c>.</summary>
internal sealed class BreakCommand : IoCommand
{
    public override string Name => "break";

    public override string Arguments => "event tag";

    public override string Summary => "sets a breakpoint on event and tags the stopped request as tag";

    public override int MinArguments => 2;

    public override int MaxArguments => 2;

    public override bool Waits => false;

    public override ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        try
        {
            BlkDebugRules rules = BlkDebugNode.FindBelow(engine.Image.Node).Rules;
            if (BlkDebugEvents.Find(arguments[0]) is not { } happened) throw BlockException.FromErrno(Errno.ENOENT);
            rules.Add(new BreakpointRule(happened, arguments[1]));
            return new(true);
        }
        catch (BlockException e)
        {
            throw new IoRefusal($"Could not set breakpoint: {Errno.Text(e.Errno)}\n");
        }
    }
}
