namespace Varve.Cli.Io.Commands;

/// <summary><c>length</c>: the size of the image.</summary>
internal sealed class LengthCommand : IoCommand
{
    public override string Name => "length";

    public override string Alias => "l";

    public override string Summary => "gets the length of the current file";

    public override bool Waits => false;

    public override ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        engine.Output.Print($"{IoReport.Size(engine.Image.Length)}\n");
        return new(true);
    }
}
