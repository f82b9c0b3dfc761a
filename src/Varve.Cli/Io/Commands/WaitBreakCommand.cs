using Varve.Filters.BlkDebug;

namespace Varve.Cli.Io.Commands;

/// <summary><c>wait_break</c>: waits until a request is suspended.</summary>
internal sealed class WaitBreakCommand : IoCommand
{
    public override string Name => "wait_break";

    public override string Arguments => "tag";

    public override string Summary => "waits for the suspension of a request";

    public override int MinArguments => 1;

    public override int MaxArguments => 1;

    public override async ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        // Differs from QEMU: with no blkdebug below it would wait for ever.
        await BlkDebugNode.FindBelow(engine.Image.Node).Rules.WaitSuspendedAsync(arguments[0], cancellationToken).ConfigureAwait(false);
        return true;
    }
}
