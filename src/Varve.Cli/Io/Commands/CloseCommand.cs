namespace Varve.Cli.Io.Commands;

/// <summary><c>close</c>: closes the image.</summary>
/// <param name="images">Opens and closes.</param>
internal sealed class CloseCommand(IoImages images) : IoCommand
{
    public override string Name => "close";

    public override string Alias => "c";

    public override string Summary => "close the current open file";

    public override async ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        await images.CloseAsync(engine).ConfigureAwait(false);
        return true;
    }
}
