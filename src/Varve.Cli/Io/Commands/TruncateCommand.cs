using Varve.Cli.CommandLine;
using Varve.Graph;

namespace Varve.Cli.Io.Commands;

/// <summary><c>truncate</c>: changes the size of the image.</summary>
internal sealed class TruncateCommand : IoCommand
{
    private static readonly OptionTable s_options = new("m:");

    public override string Name => "truncate";

    public override string Alias => "t";

    public override string Arguments => "[-m prealloc_mode] off";

    public override string Summary => "truncates the current file at the given offset";

    public override int MinArguments => 1;

    public override int MaxArguments => 3;

    public override BlockPermissions Permissions => BlockPermissions.Write | BlockPermissions.Resize;

    public override async ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        string? mode = null;
        IReadOnlyList<string> operands = ReadOptions(s_options, arguments, (_, argument) => mode = argument);
        RequireOperands(operands, 1, Unlimited);
        PreallocationMode preallocation = mode switch
        {
            null or "off" => PreallocationMode.Off,
            "metadata" => PreallocationMode.Metadata,
            "falloc" => PreallocationMode.Falloc,
            "full" => PreallocationMode.Full,
            _ => throw new BlockException(BlockErrorKind.Invalid, $"Invalid preallocation mode '{mode}'"),
        };
        long length = IoNumbers.ParseSize(operands[0]);
        await engine.Image.RunAsync(static async (node, change, token) =>
        {
            await node.ResizeAsync(change.Length, change.Preallocation, token).ConfigureAwait(false);
            return true;
        }, (Length: length, Preallocation: preallocation), cancellationToken).ConfigureAwait(false);
        return true;
    }
}
