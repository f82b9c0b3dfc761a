using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;
using Varve.Graph;
using Varve.Options;

namespace Varve.Cli.Img;

/// <summary><c>img resize</c>: makes a virtual disk longer or shorter.</summary>
internal sealed class ResizeCommand : ImgCommand
{
    private string? _format, _size;
    private bool _isOptions, _quiet, _shrink;
    private PreallocationMode _preallocation;

    internal protected override OptionTable Options { get; } = new(
        "f:hq", ("help", "h"), ("object:", null), ("image-opts", null), ("preallocation:", null), ("shrink", null), OptionTable.Progress);

    /// <summary>The size comes last, taken off before options are read: its sign must not make an option of it.</summary>
    protected override IReadOnlyList<string> TakeLastOperand(IReadOnlyList<string> arguments)
    {
        if (arguments is ["-h" or "--help"]) return arguments;
        if (arguments.Count < 2) throw ToolException.Usage("Not enough arguments");
        _size = arguments[^1];
        return [.. arguments.SkipLast(1)];
    }

    protected override void SetOption(ToolContext context, string key, string argument)
    {
        switch (key)
        {
            case "f": _format = argument; break;
            case "q": _quiet = true; break;
            case "shrink": _shrink = true; break;
            case "image-opts": _isOptions = true; break;
            case "preallocation": _preallocation = ParsePreallocation(argument); break;
        }
    }

    private static PreallocationMode ParsePreallocation(string word)
    {
        try
        {
            return PreallocationModeText.Parse(word);
        }
        catch (BlockException)
        {
            throw new ToolException($"Invalid preallocation mode '{word}'");
        }
    }

    protected override async ValueTask<int> ExecuteAsync(ToolContext context, IReadOnlyList<string> operands, CancellationToken cancellationToken)
    {
        if (operands.Count != 1) throw ToolException.Usage("Expecting image file name and size");
        char sign = _size!.Length > 0 ? _size[0] : ' ';
        long amount = (long)SizeText.ParseWideOption("size", sign is '+' or '-' ? _size[1..] : _size);
        var image = new ImageArgument(operands[0], _format, _isOptions) { Settings = new() { ReadOnly = false }, MayResize = true };
        BlockBackend backend = await context.OpenAsync(image, cancellationToken).ConfigureAwait(false);
        long length = backend.Length, wanted = unchecked(sign switch { '+' => length + amount, '-' => length - amount, _ => amount });
        if (wanted <= 0) throw new ToolException("New image size must be positive");
        if (wanted <= length && _preallocation != PreallocationMode.Off) throw new ToolException("Preallocation can only be used for growing images");
        if (wanted < length && !_shrink) throw RefuseShrinking(context);

        using ProgressMeter progress = OpenProgress(context, "resize");
        progress.Follow(context.Graph);
        await backend.RunAsync(
            static async (node, change, ct) =>
            {
                await node.ResizeAsync(change.Length, change.Mode, ct).ConfigureAwait(false);
                return true;
            },
            (Length: wanted, Mode: _preallocation),
            cancellationToken).ConfigureAwait(false);
        await backend.FlushAsync(cancellationToken).ConfigureAwait(false);
        progress.Finish();
        await context.CloseAsync(backend).ConfigureAwait(false);
        if (!_quiet) context.Console.Out.Write("Image resized.\n");
        return 0;
    }

    private static ToolException RefuseShrinking(ToolContext context)
    {
        const string Warning = "Shrinking an image will delete all data beyond the shrunken image's end. "
            + "Before performing such an operation, make sure there is no important data there.";
        return new ToolException("Use the --shrink option to perform a shrink operation.")
        {
            Hint = $"{context.Console.ProgramName}: warning: {Warning}",
        };
    }
}
