using System.Globalization;
using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;
using Varve.Graph;

namespace Varve.Cli.Img;

/// <summary><c>img map</c>: where every range of an image's data lies.</summary>
internal sealed class MapCommand : ImgCommand
{
    private const long MaxQuery = 1L << 30;

    private string? _format;
    private bool _isOptions, _isJson, _forceShare;
    private long _start;
    private long? _maxLength;

    internal protected override OptionTable Options { get; } = new(
        "f:s:l:hU", ("help", "h"), ("format:", "f"), ("output:", null), ("object:", null), ("image-opts", null), ("force-share", "U"),
        ("start-offset:", "s"), ("max-length:", "l"));

    protected override void SetOption(ToolContext context, string key, string argument)
    {
        switch (key)
        {
            case "f": _format = argument; break;
            case "U": _forceShare = true; break;
            case "output": _isJson = ParseOutputFormat(argument); break;
            case "image-opts": _isOptions = true; break;
            case "s": _start = SizeArgument.Parse(context.Console, "start offset", argument); break;
            case "l": _maxLength = SizeArgument.Parse(context.Console, "max length", argument); break;
        }
    }

    protected override async ValueTask<int> ExecuteAsync(ToolContext context, IReadOnlyList<string> operands, CancellationToken cancellationToken)
    {
        if (operands.Count != 1) throw ToolException.Usage("Expecting one image file name");
        var image = new ImageArgument(operands[0], _format, _isOptions) { Settings = new() { ReadOnly = true, ForceShare = _forceShare } };
        BlockBackend backend = await context.OpenAsync(image, cancellationToken).ConfigureAwait(false);
        TextWriter output = context.Console.Out;
        if (_isJson) output.Write('[');
        else output.Write($"{"Offset",-16}{"Length",-16}{"Mapped to",-16}File\n");

        long end = _maxLength is { } max && max < backend.Length - _start ? _start + max : backend.Length;
        MapEntry? pending = null;
        for (long offset = _start; offset < end;)
        {
            MapEntry entry = await QueryAsync(backend, offset, Math.Min(MaxQuery, end - offset), cancellationToken).ConfigureAwait(false);
            offset += entry.Length;
            if (pending is { } before && before.Continues(entry))
            {
                pending = before with { Length = before.Length + entry.Length };
                continue;
            }

            if (pending is { } done) Print(output, done, isLast: false);
            pending = entry;
        }

        if (pending is { } last) Print(output, last, isLast: true);
        if (_isJson) output.Write("]\n");
        await context.CloseAsync(backend).ConfigureAwait(false);
        return 0;
    }

    private static async ValueTask<MapEntry> QueryAsync(BlockBackend backend, long offset, long length, CancellationToken cancellationToken)
        => await backend.RunAsync(
            static (node, range, ct) => MapEntry.QueryAsync(node, range.offset, range.length, ct), (offset, length), cancellationToken).ConfigureAwait(false);

    private void Print(TextWriter output, MapEntry entry, bool isLast)
    {
        if (_isJson)
        {
            output.Write(string.Create(
                CultureInfo.InvariantCulture,
                $"{{ \"start\": {entry.Start}, \"length\": {entry.Length}, \"depth\": {entry.Depth}, \"present\": {Word(entry.IsPresent)}, \"zero\": {Word(entry.IsZero)}, \"data\": {Word(entry.IsData)}, \"compressed\": {Word(entry.IsCompressed)}"));
            if (entry.HostOffset is { } host) output.Write(string.Create(CultureInfo.InvariantCulture, $", \"offset\": {host}"));
            output.Write(isLast ? "}" : "},\n");
        }
        else if (entry.IsData && entry.HostOffset is null)
        {
            throw new ToolException("File contains external, encrypted or compressed clusters.");
        }
        else if (entry.IsData && !entry.IsZero)
        {
            output.Write($"{Hex(entry.Start),-16}{Hex(entry.Length),-16}{Hex(entry.HostOffset!.Value),-16}{FileNameOf(entry.File)}\n");
        }
    }

    private static string FileNameOf(BlockNode? node) => node?.Filename ?? "";

    private static string Word(bool value) => value ? "true" : "false";

    private static string Hex(long value) => value == 0 ? "0" : string.Create(CultureInfo.InvariantCulture, $"0x{value:x}");
}
