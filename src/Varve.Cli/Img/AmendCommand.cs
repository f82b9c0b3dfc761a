using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;
using Varve.Creation;
using Varve.Graph;

namespace Varve.Cli.Img;

/// <summary><c>img amend</c>: changes options of an image that exists.</summary>
internal sealed class AmendCommand : ImgCommand
{
    private string? _format, _options;
    private string _cache = "writeback";
    private bool _isOptions, _quiet, _showProgress, _isForced;

    internal protected override OptionTable Options { get; } = new(
        "ho:f:t:pq", ("help", "h"), ("object:", null), ("image-opts", null), ("force", null), OptionTable.Progress);

    protected override void SetOption(ToolContext context, string key, string argument)
    {
        switch (key)
        {
            case "o": _options = OptionList.Append(_options, argument); break;
            case "f": _format = argument; break;
            case "t": _cache = argument; break;
            case "p": _showProgress = true; break;
            case "q": _quiet = true; break;
            case "image-opts": _isOptions = true; break;
            case "force": _isForced = true; break;
        }
    }

    protected override async ValueTask<int> ExecuteAsync(ToolContext context, IReadOnlyList<string> operands, CancellationToken cancellationToken)
    {
        if (_options is null) throw ToolException.Usage("Must specify options (-o)");
        bool asksForHelp = OptionList.AsksForHelp(_options);
        if (asksForHelp && _format is not null) return PrintHelp(context, _format);
        if (operands.Count != 1) throw new ToolException("Expecting one image file name");
        CacheMode cache = CacheMode.TryParse(_cache) ?? throw new ToolException($"Invalid cache option: {_cache}");
        BlockBackend image = await context.OpenAsync(
            new ImageArgument(operands[0], _format, _isOptions) { Settings = cache.Apply(new() { ReadOnly = false }) }, cancellationToken).ConfigureAwait(false);
        string driver = image.Node.Driver.Name;
        if (asksForHelp) return PrintHelp(context, driver);

        CreationFormat format = FindFormat(driver);
        CreationOptionValues values = ParseOptions(context, format);
        using ProgressMeter progress = OpenProgress(context, "amend", _showProgress && !_quiet);
        AmendRequest request = format.TranslateAmend(values) with { IsForced = _isForced, Progress = progress.Report };
        await image.RunAsync(
            static async (node, amend, token) =>
            {
                await node.AmendAsync(amend, token).ConfigureAwait(false);
                return true;
            },
            request, cancellationToken).ConfigureAwait(false);
        await context.CloseAsync(image).ConfigureAwait(false);
        progress.Finish();
        return 0;
    }

    private CreationOptionValues ParseOptions(ToolContext context, CreationFormat format)
    {
        var values = new CreationOptionValues(format.AmendOptions);
        try
        {
            values.SetAll(_options!);
            return values;
        }
        catch (BlockException e)
        {
            IReadOnlyList<CreationOption> all = ImageCreator.FindFormat(context.Graph, format.Name, filename: null).Options;
            bool isForCreation = all.Any(o => e.Message == $"Invalid parameter '{o.Name}'");
            throw new ToolException(e.Message) { Hint = isForCreation ? "This option is only supported for image creation" : e.Hint };
        }
    }

    private static int PrintHelp(ToolContext context, string driver)
    {
        if (context.Graph.Drivers.Find(driver) is null) throw new ToolException($"Unknown file format '{driver}'");
        context.Console.Out.Write(CreationHelp.AmendText(FindFormat(driver)));
        return 0;
    }

    private static CreationFormat FindFormat(string driver)
        => CreationFormat.Find(driver) is { AmendOptions.Count: > 0 } format
            ? format
            : throw new ToolException($"Format driver '{driver}' does not support option amendment");
}
