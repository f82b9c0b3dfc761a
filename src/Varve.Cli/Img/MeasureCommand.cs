using System.Globalization;
using System.Text.Json.Nodes;
using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;
using Varve.Creation;
using Varve.Graph;

namespace Varve.Cli.Img;

/// <summary><c>img measure</c>: how large the file of a new image would be.</summary>
internal sealed class MeasureCommand : ImgCommand
{
    private string? _format, _options, _snapshotText;
    private string _targetFormat = "raw";
    private bool _isOptions, _isJson, _forceShare;
    private SnapshotSelector? _snapshot;
    private long? _size;

    internal protected override OptionTable Options { get; } = new(
        "hf:l:o:O:U", ("help", "h"), ("image-opts", null), ("object:", null), ("output:", null), ("size:", null), ("force-share", "U"),
        OptionTable.Progress);

    protected override void SetOption(ToolContext context, string key, string argument)
    {
        switch (key)
        {
            case "f": _format = argument; break;
            case "l":
                _snapshotText = argument;
                _snapshot = SnapshotArgument.Parse(context.Console, argument);
                break;
            case "o": _options = OptionList.Append(_options, argument); break;
            case "O": _targetFormat = argument; break;
            case "U": _forceShare = true; break;
            case "output": _isJson = ParseOutputFormat(argument); break;
            case "size": _size = SizeArgument.Parse(context.Console, "image size", argument); break;
            case "image-opts": _isOptions = true; break;
        }
    }

    protected override async ValueTask<int> ExecuteAsync(ToolContext context, IReadOnlyList<string> operands, CancellationToken cancellationToken)
    {
        if (operands.Count > 1) throw new ToolException("At most one filename argument is allowed.");
        bool isImage = operands.Count == 1;
        if (!isImage && (_isOptions || _format is not null || _snapshotText is not null))
        {
            throw new ToolException("--image-opts, -f, and -l require a filename argument.");
        }

        if (!isImage && _size is null) throw new ToolException("Either --size N or one filename must be specified.");
        if (isImage && _size is not null) throw new ToolException("--size N cannot be used together with a filename.");
        BlockBackend? source = isImage ? await OpenSourceAsync(context, operands[0], cancellationToken).ConfigureAwait(false) : null;
        using ProgressMeter progress = OpenProgress(context, "measure");
        progress.Follow(context.Graph);
        ImageMeasurement measured = await MeasureAsync(context, source, cancellationToken).ConfigureAwait(false);
        progress.Finish();
        Print(context.Console.Out, measured);
        if (source is not null) await context.CloseAsync(source).ConfigureAwait(false);
        return 0;
    }

    private async ValueTask<BlockBackend> OpenSourceAsync(ToolContext context, string name, CancellationToken cancellationToken)
    {
        var argument = new ImageArgument(name, _format, _isOptions) { Settings = new() { ReadOnly = true, ForceShare = _forceShare } };
        BlockBackend source = await context.OpenAsync(argument, cancellationToken).ConfigureAwait(false);
        if (_snapshot is not null) await SnapshotArgument.LoadAsync(context, source, _snapshot, cancellationToken).ConfigureAwait(false);
        return source;
    }

    private async ValueTask<ImageMeasurement> MeasureAsync(ToolContext context, BlockBackend? source, CancellationToken cancellationToken)
    {
        if (context.Graph.Drivers.Find(_targetFormat) is null) throw new ToolException($"Unknown file format '{_targetFormat}'");
        CreationFormat format = CreationFormat.Find(_targetFormat)
            ?? throw new ToolException($"Block driver '{_targetFormat}' does not support size measurement");
        var values = new CreationOptionValues(CreationOptionValues.Merge(format.Options, new FileCreation().Options));
        try
        {
            if (_options is not null) values.SetAll(_options);
        }
        catch (BlockException e)
        {
            context.Console.ReportError(e.Message, e.Hint);
            throw new ToolException($"Invalid options for file format '{_targetFormat}'");
        }

        if (_size is { } size) values.Set("size", size.ToString(CultureInfo.InvariantCulture));
        return await format.MeasureAsync(context.Graph, values, source, cancellationToken).ConfigureAwait(false);
    }

    private void Print(TextWriter output, ImageMeasurement measured)
    {
        if (_isJson)
        {
            var json = new JsonObject();
            if (measured.Bitmaps is { } bitmaps) json["bitmaps"] = bitmaps;
            json["required"] = measured.Required;
            json["fully-allocated"] = measured.FullyAllocated;
            output.Write(IndentedJson.Of(json) + "\n");
            return;
        }

        output.Write(string.Create(CultureInfo.InvariantCulture, $"required size: {measured.Required}\nfully allocated size: {measured.FullyAllocated}\n"));
        if (measured.Bitmaps is { } size) output.Write(string.Create(CultureInfo.InvariantCulture, $"bitmaps size: {size}\n"));
    }
}
