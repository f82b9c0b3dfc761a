using Varve.Bitmaps;
using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Graph;

namespace Varve.Cli.Img;

/// <summary><c>img bitmap</c>: changes the dirty bitmaps an image stores, action by action in the order of the command line.</summary>
internal sealed class BitmapCommand : ImgCommand
{
    private sealed record Step(string Action, string Source = "");

    private readonly List<Step> _steps = [];
    private string? _format, _sourceFile, _sourceFormat;
    private bool _isOptions, _adds, _merges;
    private long? _granularity;

    internal protected override OptionTable Options { get; } = new(
        "b:f:F:g:h", ("help", "h"), ("object:", null), ("image-opts", null), ("add", null), ("remove", null), ("clear", null), ("enable", null),
        ("disable", null), ("merge:", null), ("source-file:", "b"), ("source-format:", "F"), ("granularity:", "g"));

    protected override void SetOption(ToolContext context, string key, string argument)
    {
        switch (key)
        {
            case "b": _sourceFile = argument; break;
            case "f": _format = argument; break;
            case "F": _sourceFormat = argument; break;
            case "g": _granularity = SizeArgument.Parse(context.Console, "granularity", argument) is > 0 and var bytes ? bytes : null; break;
            case "image-opts": _isOptions = true; break;
            case "merge":
                _merges = true;
                _steps.Add(new Step(key, argument));
                break;
            default:
                _adds |= key == "add";
                _steps.Add(new Step(key));
                break;
        }
    }

    protected override async ValueTask<int> ExecuteAsync(ToolContext context, IReadOnlyList<string> operands, CancellationToken cancellationToken)
    {
        if (_steps.Count == 0) throw new ToolException("Need at least one of --add, --remove, --clear, --enable, --disable, or --merge");
        if (operands.Count != 2) throw new ToolException("Expecting filename and bitmap name");
        if (_granularity is not null && !_adds) throw new ToolException("granularity only supported with --add");
        if (_sourceFormat is not null && _sourceFile is null) throw new ToolException("-F only supported with -b");
        if (_sourceFile is not null && !_merges) throw new ToolException("Merge bitmap source file only supported with --merge");

        // Only the bitmaps are of interest: neither the data of the image nor that of its backing images.
        var argument = new ImageArgument(operands[0], _format, _isOptions) { Settings = new() { ReadOnly = false }, NoBacking = true };
        BlockBackend image = await context.OpenAsync(argument, cancellationToken).ConfigureAwait(false);
        BlockBackend? source = null;
        if (_sourceFile is not null)
        {
            var other = new ImageArgument(_sourceFile, _sourceFormat, IsOptions: false) { Settings = new() { ReadOnly = true }, NoBacking = true };
            source = await context.OpenAsync(other, cancellationToken).ConfigureAwait(false);
        }

        foreach (Step step in _steps)
        {
            await RunAsync(context, step, image.Node, source?.Node ?? image.Node, operands[1], cancellationToken).ConfigureAwait(false);
        }

        if (source is not null) await context.CloseAsync(source).ConfigureAwait(false);
        await context.CloseAsync(image).ConfigureAwait(false);
        return 0;
    }

    private async ValueTask RunAsync(
        ToolContext context, Step step, BlockNode node, BlockNode source, string name, CancellationToken cancellationToken)
    {
        try
        {
            using IDisposable held = await context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
            using DrainedSection drained = await BlockGraph.DrainAsync(node).ConfigureAwait(false);
            switch (step.Action)
            {
                case "add":
                    await BitmapOperations.AddAsync(node, name, _granularity, persistent: true, disabled: false, cancellationToken).ConfigureAwait(false);
                    break;
                case "remove":
                    await BitmapOperations.RemoveAsync(node, name, cancellationToken).ConfigureAwait(false);
                    break;
                case "clear": await BitmapOperations.ClearAsync(node, name, cancellationToken).ConfigureAwait(false); break;
                case "enable": await BitmapOperations.EnableAsync(node, name, cancellationToken).ConfigureAwait(false); break;
                case "disable": await BitmapOperations.DisableAsync(node, name, cancellationToken).ConfigureAwait(false); break;
                default:
                    await BitmapOperations.MergeAsync(node, name, [new BitmapOperations.Source(source, step.Source)], cancellationToken).ConfigureAwait(false);
                    break;
            }
        }
        catch (BlockException e)
        {
            throw ToolException.From($"Operation {step.Action} on bitmap {name} failed: ", e);
        }
    }
}
