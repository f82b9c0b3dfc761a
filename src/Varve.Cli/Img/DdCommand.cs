using System.Globalization;
using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;
using Varve.Creation;
using Varve.Graph;
using Varve.IO;

namespace Varve.Cli.Img;

/// <summary><c>img dd</c>: copies a run of blocks of an image into a new one.</summary>
internal sealed class DdCommand : ImgCommand
{
    private string? _format;
    private string _targetFormat = "raw";
    private bool _isOptions, _forceShare;

    internal protected override OptionTable Options { get; } = new(
        "f:O:hU", ("help", "h"), ("object:", null), ("image-opts", null), ("force-share", "U"), OptionTable.Progress);

    protected override void SetOption(ToolContext context, string key, string argument)
    {
        switch (key)
        {
            case "f": _format = argument; break;
            case "O": _targetFormat = argument; break;
            case "U": _forceShare = true; break;
            case "image-opts": _isOptions = true; break;
        }
    }

    protected override async ValueTask<int> ExecuteAsync(ToolContext context, IReadOnlyList<string> operands, CancellationToken cancellationToken)
    {
        Blocks blocks = Blocks.Parse(context.Console, operands);
        var argument = new ImageArgument(blocks.Input, _format, _isOptions) { Settings = new() { ReadOnly = true, ForceShare = _forceShare } };
        BlockBackend source = await context.OpenAsync(argument, cancellationToken).ConfigureAwait(false);
        long length = blocks.EndIn(source.Length);
        long start = blocks.Start;
        if (start > length)
        {
            context.Console.ReportError($"{blocks.Input}: cannot skip to specified offset");
            start = length;
        }

        await CreateTargetAsync(context, blocks.Output, length - start, cancellationToken).ConfigureAwait(false);
        var output = new ImageArgument(blocks.Output, _targetFormat, IsOptions: false) { Settings = new() { ReadOnly = false } };
        BlockBackend target = await context.OpenAsync(output, cancellationToken).ConfigureAwait(false);
        using ProgressMeter progress = OpenProgress(context, "copy");
        progress.Total = length - start;
        await CopyAsync(source, target, start, length, progress, cancellationToken).ConfigureAwait(false);
        await context.CloseAsync(source).ConfigureAwait(false);
        await context.CloseAsync(target).ConfigureAwait(false);
        progress.Finish();
        return 0;
    }

    private async ValueTask CreateTargetAsync(ToolContext context, string name, long length, CancellationToken cancellationToken)
    {
        if (context.Graph.Drivers.Find(_targetFormat) is null) throw new ToolException("Unknown file format");
        (CreationFormat format, IReadOnlyList<CreationOption> options) = ImageCreator.FindFormat(context.Graph, _targetFormat, name);
        var values = new CreationOptionValues(options);
        values.Set("size", length.ToString(CultureInfo.InvariantCulture));
        try
        {
            await format.CreateAsync(context.Graph, name, values, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            throw ToolException.From($"{name}: error while creating output image: ", e);
        }
    }

    /// <summary>Copies piece by piece; what both sides know to be zeros is neither read nor written.</summary>
    private static async ValueTask CopyAsync(
        BlockBackend source, BlockBackend target, long start, long end, ProgressMeter progress, CancellationToken cancellationToken)
    {
        using IOBuffer buffer = IOBuffer.Rent(IOBuffer.MaxTransfer);
        for (long offset = start; offset < end;)
        {
            // A source shorter than the last block asked for, or one whose length is no whole number of sectors, ends in zeros.
            int length = (int)Math.Min(end - offset, buffer.Memory.Length);
            Memory<byte> data = buffer.Memory[..length];
            try
            {
                await source.ReadAsync(offset, data, cancellationToken).ConfigureAwait(false);
            }
            catch (BlockException e)
            {
                throw new ToolException($"error while reading from input image file: {Errno.Text(e.Errno)}");
            }

            try
            {
                if (!ZeroScan.IsZero(data.Span)) await target.WriteAsync(offset - start, data, cancellationToken: cancellationToken).ConfigureAwait(false);
            }
            catch (BlockException e)
            {
                throw new ToolException($"error while writing to output image file: {Errno.Text(e.Errno)}");
            }

            offset += length;
            progress.Advance(length);
        }

        await target.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The operands: <c>if=</c>, <c>of=</c>, <c>bs=</c>, <c>count=</c> and <c>skip=</c>.</summary>
    private sealed record Blocks(string Input, string Output, long BlockSize, long? Count, long Skip)
    {
        /// <summary>Where the first block begins; the greatest number where that cannot be said in 64 bits.</summary>
        public long Start => Times(Skip);

        /// <summary>Where the last block ends in a source of a length.</summary>
        public long EndIn(long length) => Count is { } count ? Math.Min(Times(count), length) : length;

        private long Times(long count) => count > long.MaxValue / BlockSize ? long.MaxValue : count * BlockSize;

        public static Blocks Parse(ToolConsole console, IReadOnlyList<string> operands)
        {
            string? input = null, output = null;
            long blockSize = Align.SectorSize, skip = 0;
            long? count = null;
            foreach (string operand in operands)
            {
                int equals = operand.IndexOf('=', StringComparison.Ordinal);
                string name = equals < 0 ? operand : operand[..equals], value = operand[(equals + 1)..];
                switch (equals < 0 ? "" : name)
                {
                    case "if": input = value; break;
                    case "of": output = value; break;
                    case "bs": blockSize = SizeArgument.Parse(console, "bs", value, min: 1, max: int.MaxValue); break;
                    case "count": count = SizeArgument.Parse(console, "count", value); break;
                    case "skip": skip = SizeArgument.Parse(console, "skip", value); break;
                    default: throw new ToolException($"unrecognized operand {name}");
                }
            }

            if (input is null || output is null) throw new ToolException("Must specify both input and output files");
            return new Blocks(input, output, blockSize, count, skip);
        }
    }
}
