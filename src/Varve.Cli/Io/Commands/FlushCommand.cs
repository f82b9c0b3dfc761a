namespace Varve.Cli.Io.Commands;

/// <summary><c>flush</c>: makes what was written durable.</summary>
internal sealed class FlushCommand : IoCommand
{
    public override string Name => "flush";

    public override string Alias => "f";

    public override string Summary => "flush all in-core file state to disk";

    public override async ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        await engine.Image.FlushAsync(cancellationToken).ConfigureAwait(false);
        return true;
    }
}
