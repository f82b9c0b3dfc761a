namespace Varve.Cli.Io.Commands;

/// <summary>The commands for zoned devices. No image is one, so all of them fail as the reference's do on those that are not.</summary>
/// <param name="name">The command.</param>
/// <param name="alias">Its shorter name.</param>
/// <param name="arguments">As usage shows them.</param>
/// <param name="summary">What it would do.</param>
/// <param name="isVector">Whether several lengths may follow the offset.</param>
internal sealed class ZoneCommand(string name, string alias, string arguments, string summary, bool isVector = false) : IoCommand
{
    public override string Name => name;

    public override string Alias => alias;

    public override string Arguments => arguments;

    public override string Summary => summary;

    public override int MinArguments => 2;

    public override int MaxArguments => isVector ? Unlimited : 2;

    public override ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        IoNumbers.ParseSize(arguments[0]);
        if (isVector) IoNumbers.ParseVector(arguments.Skip(1));
        else IoNumbers.ParseSize(arguments[1]);
        throw new IoRefusal($"{name.Replace('_', ' ')} failed: {Errno.Text(Errno.EOPNOTSUPP)}\n");
    }
}
