using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;
using Varve.Creation;

namespace Varve.Cli.Img;

/// <summary><c>img create</c>: makes an image.</summary>
internal sealed class CreateCommand : ImgCommand
{
    private string _format = "raw";
    private string? _backingFile, _backingFormat, _options;
    private bool _quiet, _isBackingTrusted;

    internal protected override OptionTable Options { get; } = new("F:b:f:ho:qu", ("help", "h"), ("object:", null), OptionTable.Progress);

    protected override void SetOption(ToolContext context, string key, string argument)
    {
        switch (key)
        {
            case "f": _format = argument; break;
            case "b": _backingFile = argument; break;
            case "F": _backingFormat = argument; break;
            case "u": _isBackingTrusted = true; break;
            case "q": _quiet = true; break;
            case "o": _options = OptionList.Append(_options, argument); break;
        }
    }

    protected override async ValueTask<int> ExecuteAsync(ToolContext context, IReadOnlyList<string> operands, CancellationToken cancellationToken)
    {
        if (_options is not null && OptionList.AsksForHelp(_options))
        {
            context.Console.Out.Write(CreationHelp.Text(context.Graph, _format, operands.Count > 0 ? operands[0] : null));
            return 0;
        }

        if (operands.Count == 0) throw ToolException.Usage("Expecting image file name");
        if (operands.Count > 2) throw ToolException.Usage($"Unexpected argument: {operands[2]}");
        var request = new CreationRequest
        {
            Filename = operands[0],
            Format = _format,
            Options = _options,
            Size = operands.Count > 1 ? SizeArgument.Parse(context.Console, "image size", operands[1]) : null,
            BackingFile = _backingFile,
            BackingFormat = _backingFormat,
            IsBackingTrusted = _isBackingTrusted,
        };

        using ProgressMeter progress = OpenProgress(context, "create");
        progress.Follow(context.Graph);
        try
        {
            Action<string>? announce = _quiet ? null : line => context.Console.Out.Write(line + "\n");
            await ImageCreator.CreateAsync(context.Graph, request, context.OpenContext, announce, cancellationToken).ConfigureAwait(false);
            progress.Finish();
            return 0;
        }
        catch (BlockException e)
        {
            throw ToolException.From($"{operands[0]}: ", e);
        }
    }
}
