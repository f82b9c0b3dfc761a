using System.Globalization;
using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;
using Varve.Creation;
using Varve.Graph;

namespace Varve.Cli.Img;

/// <summary><c>img convert</c>: copies images into a new one, of another format where wanted.</summary>
internal sealed class ConvertCommand : ImgCommand
{
    private const int MaxRequests = 16;
    private const long MaxSparse = 16 << 20;

    private SnapshotSelector? _snapshot;
    private string? _sourceFormat, _options, _backingFile, _backingFormat;
    private string _targetFormat = "raw";
    private string _targetCache = "unsafe";
    private CacheMode _sourceCache = CacheMode.WriteBack;
    private readonly System.Text.Json.Nodes.JsonObject _keySecrets = [];
    private bool _isOptions, _isTargetOptions, _targetExists, _targetIsZero, _forceShare, _compress, _offload, _salvage, _quiet, _showProgress,
        _outOfOrder, _bitmaps, _skipBrokenBitmaps;
    private int _requests = 8;
    private long _sparse = 4096, _rate;
    private bool _isSparseGiven;

    internal protected override OptionTable Options { get; } = new(
        "hf:O:B:CcF:o:l:S:pt:T:qnm:WUr:", ("help", "h"), ("object:", null), ("image-opts", null),
        ("force-share", "U"), ("target-image-opts", null), ("salvage", null), ("target-is-zero", null), ("bitmaps", null),
        ("skip-broken-bitmaps", null), ("rate-limit:", "r"), OptionTable.Progress);

    protected override void SetOption(ToolContext context, string key, string argument)
    {
        switch (key)
        {
            case "f": _sourceFormat = argument; break;
            case "O": _targetFormat = argument; break;
            case "B": _backingFile = argument; break;
            case "F": _backingFormat = argument; break;
            case "C": _offload = true; break;
            case "c": _compress = true; break;
            case "o": _options = OptionList.Append(_options, argument); break;
            case "l": _snapshot = SnapshotArgument.Parse(context.Console, argument); break;
            case "S": SetSparse(context, argument); break;
            case "p": _showProgress = true; break;
            case "t": _targetCache = argument; break;
            case "T": _sourceCache = CacheMode.TryParse(argument) ?? throw new ToolException($"Invalid source cache option: {argument}"); break;
            case "q": _quiet = true; break;
            case "n": _targetExists = true; break;
            case "m": SetRequests(argument); break;
            case "W": _outOfOrder = true; break;
            case "U": _forceShare = true; break;
            case "r": _rate = SizeArgument.Parse(context.Console, "rate limit", argument); break;
            case "image-opts": _isOptions = true; break;
            case "target-image-opts": _isTargetOptions = true; break;
            case "salvage": _salvage = true; break;
            case "target-is-zero": _targetIsZero = true; break;
            case "bitmaps": _bitmaps = true; break;
            case "skip-broken-bitmaps": _skipBrokenBitmaps = true; break;
        }
    }

    private void SetSparse(ToolContext context, string argument)
    {
        _sparse = SizeArgument.Parse(context.Console, "buffer size for sparse output", argument);
        _isSparseGiven = true;
        if (Align.Is(_sparse, Align.SectorSize) && _sparse <= MaxSparse) return;
        throw new ToolException(
            $"Invalid buffer size for sparse output specified. Valid sizes are multiples of {Align.SectorSize} up to {MaxSparse}. Select 0 to disable sparse detection (fully allocates output).");
    }

    private void SetRequests(string argument)
    {
        if (int.TryParse(argument, NumberStyles.None, CultureInfo.InvariantCulture, out _requests) && _requests is >= 1 and <= MaxRequests) return;
        throw new ToolException($"Invalid number of coroutines. Allowed number of coroutines is between 1 and {MaxRequests}");
    }

    protected override async ValueTask<int> ExecuteAsync(ToolContext context, IReadOnlyList<string> operands, CancellationToken cancellationToken)
    {
        if (_options is not null && OptionList.AsksForHelp(_options))
        {
            context.Console.Out.Write(CreationHelp.Text(context.Graph, _targetFormat, operands.Count > 0 ? operands[^1] : null));
            return 0;
        }

        CheckUsage(operands);
        context.UseSeveralConnections();
        using ProgressMeter progress = OpenProgress(context, "copy", _showProgress && !_quiet);
        var sources = new List<BlockBackend>();
        foreach (string name in operands.Take(operands.Count - 1))
        {
            NodeSettings settings = _sourceCache.Apply(new() { ReadOnly = true, ForceShare = _forceShare });
            sources.Add(await context.OpenAsync(new ImageArgument(name, _sourceFormat, _isOptions) { Settings = settings }, cancellationToken).ConfigureAwait(false));
        }

        if (_snapshot is not null) await SnapshotArgument.LoadAsync(context, sources[0], _snapshot, cancellationToken).ConfigureAwait(false);
        BitmapCopy? bitmaps = _bitmaps ? BitmapCopy.From(context, sources[0], _skipBrokenBitmaps) : null;
        if (sources.Count > 1 && _backingFile is not null)
        {
            throw new ToolException("Having a backing file for the target makes no sense when concatenating multiple input images");
        }

        long total = sources.Sum(s => s.Length);
        if (!_targetExists) await CreateTargetAsync(context, operands[^1], total, cancellationToken).ConfigureAwait(false);
        CacheMode cache = CacheMode.TryParse(_targetCache) ?? throw new ToolException($"Invalid cache option: {_targetCache}");
        BlockBackend target = await OpenTargetAsync(context, operands[^1], cache, cancellationToken).ConfigureAwait(false);
        if (bitmaps is not null) BitmapCopy.RequireSupport(target);
        CheckTarget(target, total);

        progress.Total = total;
        using var copy = new ImageCopy(context.Console, sources, target, progress)
        {
            Requests = _requests,
            IsOutOfOrder = _outOfOrder,
            Sparse = _sparse,
            BytesPerSecond = _rate,
            CompressedUnit = _compress ? target.Node.ClusterSize : 0,
            Offloads = _offload,
            IsSalvaging = _salvage,
            TargetZeroFrom = TargetZeroFrom(target),
            SkipsBacking = target.Node.BackingChild is not null,
        };
        await copy.RunAsync(cancellationToken).ConfigureAwait(false);
        if (bitmaps is not null) await bitmaps.CopyToAsync(target, cancellationToken).ConfigureAwait(false);
        progress.Finish();
        foreach (BlockBackend source in sources) await context.CloseAsync(source).ConfigureAwait(false);
        await context.CloseAsync(target).ConfigureAwait(false);
        return 0;
    }

    private void CheckUsage(IReadOnlyList<string> operands)
    {
        if (_skipBrokenBitmaps && !_bitmaps) throw new ToolException("Use of --skip-broken-bitmaps requires --bitmaps");
        if (_offload && _compress) throw new ToolException("Cannot enable copy offloading when -c is used");
        if (_offload && _isSparseGiven) throw new ToolException("Cannot enable copy offloading when -S is used");
        if (_offload && _salvage) throw new ToolException("Cannot use copy offloading in salvaging mode");
        if (_isTargetOptions && !_targetExists) throw new ToolException("--target-image-opts requires use of -n flag");
        if (_targetExists && _options is not null) throw new ToolException("-o has no effect when skipping image creation");
        if (_targetIsZero && !_targetExists) throw new ToolException("--target-is-zero requires use of -n flag");
        if (operands.Count < 2) throw new ToolException("Must specify image file name");
        if (operands.Count > 2 && _snapshot is not null) throw new ToolException("No support for concatenating multiple snapshot");
        if (operands.Count > 2 && _bitmaps) throw new ToolException("Copying bitmaps only possible with single source");
    }

    private async ValueTask CreateTargetAsync(ToolContext context, string name, long total, CancellationToken cancellationToken)
    {
        try
        {
            (CreationFormat format, IReadOnlyList<CreationOption> options) = ImageCreator.FindFormat(context.Graph, _targetFormat, name);
            if (_compress && context.Graph.Drivers.Find(_targetFormat) is not { SupportsCompressedWrites: true }) throw NotCompressible();
            var values = new CreationOptionValues(options);
            if (_options is not null) values.SetAll(_options);
            if (values.Given("size") is null) values.Set("size", total.ToString(CultureInfo.InvariantCulture));
            SetBacking(values);
            CheckCompression(values);
            await format.CreateAsync(context.Graph, name, values, cancellationToken).ConfigureAwait(false);
            foreach (CreationOption option in options.Where(o => o.Name is "key-secret" or "encrypt.key-secret"))
            {
                if (values.Given(option.Name) is { } secret) _keySecrets[option.Name] = secret;   // what was created is opened with the same
            }
        }
        catch (BlockException e) when (e.Kind == BlockErrorKind.TooLarge)
        {
            throw new ToolException($"{name}: error while converting {_targetFormat}: The image size is too large for file format '{_targetFormat}'");
        }
        catch (BlockException e)
        {
            bool isCreation = !e.Message.StartsWith("Unknown", StringComparison.Ordinal) && !e.Message.EndsWith("does not support image creation", StringComparison.Ordinal)
                && !e.Message.StartsWith("Invalid parameter", StringComparison.Ordinal);
            throw ToolException.From(isCreation ? $"{name}: error while converting {_targetFormat}: " : "", e);
        }
    }

    private void SetBacking(CreationOptionValues values)
    {
        if (_backingFile is not null)
        {
            if (!values.Knows("backing_file")) throw new ToolException($"Backing file not supported for file format '{_targetFormat}'");
            values.Set("backing_file", _backingFile);
        }

        if (_backingFormat is not null)
        {
            if (!values.Knows("backing_fmt")) throw new ToolException($"Backing format not supported for file format '{_targetFormat}'");
            values.Set("backing_fmt", _backingFormat);
        }

        if (values.Given("backing_file") is not null && values.Given("backing_fmt") is null)
        {
            throw new ToolException("Use of backing file requires explicit backing format");
        }
    }

    private void CheckCompression(CreationOptionValues values)
    {
        if (!_compress) return;
        if (values["encryption"] == "on" || values.Given("encrypt.format") is not null)
        {
            throw new ToolException("Compression and encryption not supported at the same time");
        }

        if (values.Given("preallocation") is { } mode && mode != "off")
        {
            throw new ToolException("Compression and preallocation not supported at the same time");
        }
    }

    private ValueTask<BlockBackend> OpenTargetAsync(ToolContext context, string name, CacheMode cache, CancellationToken cancellationToken)
    {
        NodeSettings settings = cache.Apply(new() { ReadOnly = false, Discard = _sparse != 0 });
        string? format = _isTargetOptions ? null : _targetFormat;
        return context.OpenAsync(
            new ImageArgument(name, format, _isTargetOptions) { Settings = settings, MoreOptions = _keySecrets }, cancellationToken);
    }

    /// <summary>A new target shows zeros where its backing image, if it has one, ends.</summary>
    private long TargetZeroFrom(BlockBackend target)
    {
        if (_targetIsZero) return 0;
        return !_targetExists && target.Node.ReadsZeroWhenNew ? target.Node.BackingChild?.Node.Length ?? 0 : long.MaxValue;
    }

    private static ToolException NotCompressible() => new("Compression not supported for this file format");

    private void CheckTarget(BlockBackend target, long total)
    {
        if (_targetIsZero && target.Node.BackingChild is not null)
        {
            throw new ToolException("Cannot use --target-is-zero when the destination image has a backing file");
        }

        if (_compress && !target.Node.SupportsCompressedWrites) throw NotCompressible();
        if (target.Length < total) throw new ToolException("output file is smaller than input file");
    }
}
