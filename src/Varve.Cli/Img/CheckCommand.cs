using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;
using Varve.Graph;

namespace Varve.Cli.Img;

/// <summary><c>img check</c>: compares an image's metadata with itself, and repairs it on request.</summary>
internal sealed class CheckCommand : ImgCommand
{
    private const int CannotCheck = 1, IsCorrupt = 2, HasLeaks = 3, NoCheck = 63;

    private string? _format;
    private bool _isOptions, _isJson, _quiet, _forceShare;
    private CheckRepair _repair;
    private CacheMode _cache = CacheMode.WriteBack;

    internal protected override OptionTable Options { get; } = new(
        "hf:r:T:qU", ("help", "h"), ("format:", "f"), ("repair:", "r"), ("output:", null), ("object:", null), ("image-opts", null), ("force-share", "U"),
        OptionTable.Progress);

    protected override void SetOption(ToolContext context, string key, string argument)
    {
        switch (key)
        {
            case "f": _format = argument; break;
            case "q": _quiet = true; break;
            case "U": _forceShare = true; break;
            case "output": _isJson = ParseOutputFormat(argument); break;
            case "image-opts": _isOptions = true; break;
            case "T": _cache = CacheMode.TryParse(argument) ?? throw new ToolException($"Invalid source cache option: {argument}"); break;
            case "r":
                _repair = argument switch
                {
                    "leaks" => CheckRepair.Leaks,
                    "all" => CheckRepair.All,
                    _ => throw ToolException.Usage($"Unknown option value for -r (expecting 'leaks' or 'all'): {argument}"),
                };
                break;
        }
    }

    protected override async ValueTask<int> ExecuteAsync(ToolContext context, IReadOnlyList<string> operands, CancellationToken cancellationToken)
    {
        if (operands.Count != 1) throw ToolException.Usage("Expecting one image file name");
        var image = new ImageArgument(operands[0], _format, _isOptions)
        {
            ForCheck = true,
            Settings = _cache.Apply(new() { ReadOnly = _repair == CheckRepair.None, ForceShare = _forceShare }),
        };
        BlockBackend backend = await context.OpenAsync(image, cancellationToken).ConfigureAwait(false);
        using ProgressMeter progress = OpenProgress(context, "check");
        progress.Follow(context.Graph);
        var text = new StringBuilder();
        CheckResult result;
        try
        {
            result = await CheckAsync(context, backend.Node, _repair, cancellationToken).ConfigureAwait(false);
            if (result.LeaksFixed > 0 || result.CorruptionsFixed > 0)
            {
                if (!_isJson && !_quiet) Print(RepairedText(result));
                CheckResult again = await CheckAsync(context, backend.Node, CheckRepair.None, cancellationToken).ConfigureAwait(false);
                (again.LeaksFixed, again.CorruptionsFixed) = (result.LeaksFixed, result.CorruptionsFixed);
                result = again;
            }

            progress.Finish();
        }
        catch (BlockException e) when (e.Kind == BlockErrorKind.Unsupported)
        {
            throw new ToolException("This image format does not support checks", NoCheck);
        }
        catch (BlockException e)
        {
            if (e.InnerException is BlockException why) context.Console.ReportError(why.Message, why.Hint);
            context.Console.Out.Write(text);
            throw ToolException.From("Check failed: ", e, CannotCheck);
        }

        if (_isJson) Print(IndentedJson.Of(ToJson(operands[0], backend.Node.Driver.Name, result)) + "\n");
        else if (!_quiet) Print(HumanText(result));
        if (result.CheckErrors > 0) context.Console.ReportError("Check failed");
        context.Console.Out.Write(text);
        await context.CloseAsync(backend).ConfigureAwait(false);
        return result.CheckErrors > 0 ? CannotCheck : result.Corruptions > 0 ? IsCorrupt : result.Leaks > 0 ? HasLeaks : 0;

        // Where both streams end in one file the driver's lines come first, as they do with the reference's buffered output.
        void Print(string piece)
        {
            if (context.Console.IsTerminal) context.Console.Out.Write(piece);
            else text.Append(piece);
        }
    }

    private static async ValueTask<CheckResult> CheckAsync(ToolContext context, BlockNode node, CheckRepair repair, CancellationToken cancellationToken)
    {
        using IDisposable held = await context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        return await node.CheckAsync(repair, new ErrorLines(context.Console), cancellationToken).ConfigureAwait(false);
    }

    private static string RepairedText(CheckResult result) => string.Create(
        CultureInfo.InvariantCulture,
        $"The following inconsistencies were found and repaired:\n\n    {result.LeaksFixed} leaked clusters\n    {result.CorruptionsFixed} corruptions\n\nDouble checking the fixed image now...\n");

    private static string HumanText(CheckResult result)
    {
        var text = new StringBuilder();
        void Add(FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture));
        if (result is { Corruptions: 0, Leaks: 0, CheckErrors: 0 }) Add($"No errors were found on the image.\n");
        if (result.Corruptions > 0)
        {
            Add($"\n{result.Corruptions} errors were found on the image.\nData may be corrupted, or further writes to the image may corrupt it.\n");
        }

        if (result.Leaks > 0)
        {
            Add($"\n{result.Leaks} leaked clusters were found on the image.\nThis means waste of disk space, but no harm to data.\n");
        }

        if (result.CheckErrors > 0) Add($"\n{result.CheckErrors} internal errors have occurred during the check.\n");
        if (result.TotalClusters != 0 && result.AllocatedClusters != 0)
        {
            Add($"{result.AllocatedClusters}/{result.TotalClusters} = {Percent(result.AllocatedClusters, result.TotalClusters)} allocated, ");
            Add($"{Percent(result.FragmentedClusters, result.AllocatedClusters)} fragmented, ");
            Add($"{Percent(result.CompressedClusters, result.AllocatedClusters)} compressed clusters\n");
        }

        if (result.ImageEndOffset > 0) Add($"Image end offset: {result.ImageEndOffset}\n");
        return text.ToString();
    }

    private static string Percent(long part, long whole) => string.Create(CultureInfo.InvariantCulture, $"{part * 100.0 / whole:0.00}%");

    private static JsonObject ToJson(string filename, string format, CheckResult result)
    {
        var json = new JsonObject { ["filename"] = filename, ["format"] = format, ["check-errors"] = result.CheckErrors };
        void AddNonZero(string name, long value)
        {
            if (value != 0) json[name] = value;
        }

        AddNonZero("image-end-offset", result.ImageEndOffset);
        AddNonZero("corruptions", result.Corruptions);
        AddNonZero("leaks", result.Leaks);
        AddNonZero("corruptions-fixed", result.CorruptionsFixed);
        AddNonZero("leaks-fixed", result.LeaksFixed);
        AddNonZero("total-clusters", result.TotalClusters);
        AddNonZero("allocated-clusters", result.AllocatedClusters);
        AddNonZero("fragmented-clusters", result.FragmentedClusters);
        AddNonZero("compressed-clusters", result.CompressedClusters);
        return json;
    }

    /// <summary>What the driver finds goes to standard error as it is found.</summary>
    private sealed class ErrorLines(ToolConsole console) : IProgress<string>
    {
        public void Report(string value) => console.WriteError(value + "\n");
    }
}
