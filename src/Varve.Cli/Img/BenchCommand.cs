using System.Diagnostics;
using System.Globalization;
using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;
using Varve.Graph;

namespace Varve.Cli.Img;

/// <summary><c>img bench</c>: how long a number of requests takes.</summary>
internal sealed class BenchCommand : ImgCommand
{
    private string? _format, _aio;
    private bool _isOptions, _isWrite, _isDrainFree, _forceShare;
    private int _count = 75000, _depth = 64, _flushInterval;
    private long _offset, _size = 4096, _step;
    private byte _pattern;
    private CacheMode _cache = CacheMode.WriteBack;

    internal protected override OptionTable Options { get; } = new(
        "hc:d:f:ni:o:qs:S:t:wU", ("help", "h"), ("flush-interval:", null), ("pattern:", null), ("no-drain", null), ("image-opts", null),
        ("force-share", "U"), OptionTable.Progress);

    protected override void SetOption(ToolContext context, string key, string argument)
    {
        switch (key)
        {
            case "c": _count = Number(argument, int.MaxValue, "Invalid request count specified"); break;
            case "d": _depth = Number(argument, int.MaxValue, "Invalid queue depth specified", min: 1); break;   // Differs from QEMU: 0 hangs there
            case "f": _format = argument; break;
            case "n": _aio = "native"; break;
            case "i": _aio = ParseAio(argument); break;
            case "o": _offset = SizeArgument.Parse(context.Console, "offset", argument); break;
            case "s": _size = SizeArgument.Parse(context.Console, "buffer size", argument, max: int.MaxValue); break;
            case "S": _step = SizeArgument.Parse(context.Console, "step_size", argument, max: int.MaxValue); break;
            case "t": _cache = CacheMode.TryParse(argument) ?? throw new ToolException("Invalid cache mode"); break;
            case "w": _isWrite = true; break;
            case "U": _forceShare = true; break;
            case "pattern": _pattern = (byte)Number(argument, byte.MaxValue, "Invalid pattern byte specified"); break;
            case "flush-interval": _flushInterval = Number(argument, int.MaxValue, "Invalid flush interval specified"); break;
            case "no-drain": _isDrainFree = true; break;
            case "image-opts": _isOptions = true; break;
        }
    }

    private static int Number(string text, int max, string refusal, int min = 0)
    {
        bool isHex = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        return int.TryParse(isHex ? text.AsSpan(2) : text, isHex ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture, out int number)
               && number >= min && number <= max
            ? number
            : throw new ToolException(refusal);
    }

    private static string ParseAio(string word)
        => word is "threads" or "native" or "io_uring" ? word : throw new ToolException($"Invalid aio option: {word}");

    protected override async ValueTask<int> ExecuteAsync(ToolContext context, IReadOnlyList<string> operands, CancellationToken cancellationToken)
    {
        if (operands.Count != 1) throw ToolException.Usage("Expecting one image file name");
        if (!_isWrite && _flushInterval > 0) throw new ToolException("--flush-interval is only available in write tests");
        if (_flushInterval > 0 && _flushInterval < _depth) throw new ToolException("Flush interval can't be smaller than depth");
        if (_aio == "native" && !_cache.Direct)
        {
            throw new ToolException($"Could not open '{operands[0]}': aio=native was specified, but it requires cache.direct=on, which was not specified.");
        }

        var argument = new ImageArgument(operands[0], _format, _isOptions)
        {
            Settings = _cache.Apply(new() { ReadOnly = !_isWrite, ForceShare = _forceShare }),
        };
        BlockBackend image = await context.OpenAsync(argument, cancellationToken).ConfigureAwait(false);
        if (_step == 0) _step = _size;
        context.Console.Out.Write(string.Create(
            CultureInfo.InvariantCulture,
            $"Sending {_count} {(_isWrite ? "write" : "read")} requests, {_size} bytes each, {_depth} in parallel (starting at offset {_offset}, step size {_step})\n"));
        if (_flushInterval > 0)
        {
            context.Console.Out.Write(string.Create(
                CultureInfo.InvariantCulture, $"Sending flush every {(_isDrainFree ? "" : "drained ")}{_flushInterval} requests\n"));
        }

        using ProgressMeter progress = OpenProgress(context, "bench");
        progress.Total = _count * _size;
        var run = new BenchRun(image, progress)
        {
            Count = _count,
            Depth = _depth,
            Size = (int)_size,
            Step = _step,
            IsWrite = _isWrite,
            Pattern = _pattern,
            FlushInterval = _flushInterval,
            DrainsBeforeFlush = !_isDrainFree,
            WriteFlags = _cache.WriteThrough ? WriteFlags.Fua : WriteFlags.None,
        };
        long started = Stopwatch.GetTimestamp();
        try
        {
            await run.RunAsync(_offset, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            throw new ToolException($"Failed request: {Errno.Text(e.Errno)}");
        }

        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        progress.Finish();
        context.Console.Out.Write(string.Create(CultureInfo.InvariantCulture, $"Run completed in {seconds:0.000} seconds.\n"));
        await context.CloseAsync(image).ConfigureAwait(false);
        return 0;
    }
}
