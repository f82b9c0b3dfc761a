namespace Varve.Cli.Io.Commands;

/// <summary><c>sleep</c>: waits; requests in flight go on.</summary>
internal sealed class SleepCommand : IoCommand
{
    public override string Name => "sleep";

    public override string Summary => "waits for the given value in milliseconds";

    public override int MinArguments => 1;

    public override int MaxArguments => 1;

    public override bool RunsWithoutImage => true;

    public override async ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        if (IoNumbers.TryParseInteger(arguments[0]) is not (>= 0 and <= int.MaxValue and { } milliseconds))
        {
            throw new IoRefusal($"{arguments[0]} is not a valid number\n");
        }

        await Task.Delay((int)milliseconds, cancellationToken).ConfigureAwait(false);
        return true;
    }
}
