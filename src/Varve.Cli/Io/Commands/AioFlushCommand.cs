namespace Varve.Cli.Io.Commands;

/// <summary><c>aio_flush</c>: waits for the requests that were started.</summary>
internal sealed class AioFlushCommand : IoCommand
{
    public override string Name => "aio_flush";

    public override string Summary => "completes all outstanding aio requests";

    public override async ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        await engine.InFlight.WaitAsync().ConfigureAwait(false);
        return true;
    }
}
