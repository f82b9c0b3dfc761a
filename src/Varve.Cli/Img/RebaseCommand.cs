using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;
using Varve.Graph;

namespace Varve.Cli.Img;

/// <summary><c>img rebase</c>: gives an image another backing image, and unless told otherwise keeps what it shows.</summary>
internal sealed class RebaseCommand : ImgCommand
{
    private string? _format, _newBase, _newFormat;
    private string _cacheWord = "writeback", _sourceCacheWord = "writeback";
    private bool _isOptions, _isUnsafe, _compress, _showProgress, _quiet, _forceShare;

    internal protected override OptionTable Options { get; } = new(
        "hf:F:b:upt:T:qUc", ("help", "h"), ("object:", null), ("image-opts", null), ("force-share", "U"), ("compress", "c"), OptionTable.Progress);

    protected override void SetOption(ToolContext context, string key, string argument)
    {
        switch (key)
        {
            case "f": _format = argument; break;
            case "F": _newFormat = argument; break;
            case "b": _newBase = argument; break;
            case "u": _isUnsafe = true; break;
            case "c": _compress = true; break;
            case "p": _showProgress = true; break;
            case "q": _quiet = true; break;
            case "t": _cacheWord = argument; break;
            case "T": _sourceCacheWord = argument; break;
            case "U": _forceShare = true; break;
            case "image-opts": _isOptions = true; break;
        }
    }

    protected override async ValueTask<int> ExecuteAsync(ToolContext context, IReadOnlyList<string> operands, CancellationToken cancellationToken)
    {
        if (operands.Count != 1) throw ToolException.Usage("Expecting one image file name");
        if (!_isUnsafe && _newBase is null) throw ToolException.Usage("Must specify backing file (-b) or use unsafe mode (-u)");
        CacheMode cache = CacheMode.TryParse(_cacheWord) ?? throw new ToolException($"Invalid cache option: {_cacheWord}");
        CacheMode sourceCache = CacheMode.TryParse(_sourceCacheWord) ?? throw new ToolException($"Invalid source cache option: {_sourceCacheWord}");
        using ProgressMeter progress = OpenProgress(context, "rebase", _showProgress && !_quiet);
        var argument = new ImageArgument(operands[0], _format, _isOptions) { Settings = cache.Apply(new() { ReadOnly = false }), NoBacking = _isUnsafe };
        BlockBackend image = await context.OpenAsync(argument, cancellationToken).ConfigureAwait(false);
        if (_newFormat is not null && context.Graph.Drivers.Find(_newFormat) is null) throw new ToolException($"Invalid format name: '{_newFormat}'");
        if (_compress && !image.Node.SupportsCompressedWrites) throw new ToolException("Compression not supported for this file format");

        BlockBackend? newBase = null;
        if (!_isUnsafe)
        {
            if (!string.IsNullOrEmpty(_newBase)) newBase = await OpenNewBaseAsync(context, image.Node, sourceCache, cancellationToken).ConfigureAwait(false);
            progress.Total = image.Length;
            var copy = new RebaseCopy(image, newBase, progress) { Compress = _compress };
            await copy.RunAsync(cancellationToken).ConfigureAwait(false);
        }

        await ChangeHeaderAsync(context, image, cancellationToken).ConfigureAwait(false);
        progress.Finish();
        if (newBase is not null) await context.CloseAsync(newBase).ConfigureAwait(false);
        await context.CloseAsync(image).ConfigureAwait(false);
        return 0;
    }

    private async ValueTask<BlockBackend> OpenNewBaseAsync(ToolContext context, BlockNode image, CacheMode cache, CancellationToken cancellationToken)
    {
        string name;
        try
        {
            name = FileNames.Resolve(image.SkipFilters().Filename, _newBase!);
        }
        catch (BlockException e)
        {
            throw ToolException.From("Could not resolve backing filename: ", e);
        }

        var argument = new ImageArgument(name, _newFormat, IsOptions: false)
        {
            Settings = cache.Apply(new() { ReadOnly = true, ForceShare = _forceShare }),
            FailurePrefix = $"Could not open new backing file '{_newBase}': ",
        };
        BlockBackend newBase = await context.OpenAsync(argument, cancellationToken).ConfigureAwait(false);

        // The header would refuse it in the end; better before the work than after it.
        if (_newFormat is null && image.SkipFilters().Driver.SupportsBacking) throw MissingFormat();
        return newBase;
    }

    /// <summary>The header is rewritten last; the driver makes what was copied durable first.</summary>
    private async ValueTask ChangeHeaderAsync(ToolContext context, BlockBackend image, CancellationToken cancellationToken)
    {
        string? name = string.IsNullOrEmpty(_newBase) ? null : _newBase, format = name is null ? null : _newFormat;
        BlockNode node = image.Node.SkipFilters();
        if (name is not null && format is null && node.Driver.SupportsBacking) throw MissingFormat();
        try
        {
            using IDisposable held = await context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
            await node.ChangeBackingFileAsync(name, format, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            string reason = e.Errno == Errno.ENOSPC ? "No space left in the file header" : Errno.Text(e.Errno);
            throw new ToolException($"Could not change the backing file to '{_newBase}': {reason}");
        }
    }

    private ToolException MissingFormat() => new($"Could not change the backing file to '{_newBase}': backing format must be specified");
}
