using System.Text.Json.Nodes;
using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;
using Varve.Graph;

namespace Varve.Cli.Img;

/// <summary><c>img info</c>: what an image is, from its metadata.</summary>
internal sealed class InfoCommand : ImgCommand
{
    private string? _format;
    private bool _isOptions, _isJson, _wholeChain, _forceShare;

    internal protected override OptionTable Options { get; } = new(
        "hf:U", ("help", "h"), ("format:", "f"), ("output:", null), ("backing-chain", null), ("force-share", "U"), ("object:", null),
        ("image-opts", null));

    protected override void SetOption(ToolContext context, string key, string argument)
    {
        switch (key)
        {
            case "f": _format = argument; break;
            case "U": _forceShare = true; break;
            case "output": _isJson = ParseOutputFormat(argument); break;
            case "backing-chain": _wholeChain = true; break;
            case "image-opts": _isOptions = true; break;
        }
    }

    protected override async ValueTask<int> ExecuteAsync(ToolContext context, IReadOnlyList<string> operands, CancellationToken cancellationToken)
    {
        if (operands.Count != 1) throw ToolException.Usage("Expecting one image file name");
        List<JsonObject> chain = await CollectAsync(context, operands[0], cancellationToken).ConfigureAwait(false);
        TextWriter output = context.Console.Out;
        if (_isJson)
        {
            JsonNode all = _wholeChain ? new JsonArray([.. chain]) : chain[0];
            output.Write(IndentedJson.Of(all) + "\n");
            return 0;
        }

        for (int i = 0; i < chain.Count; i++)
        {
            if (i > 0) output.Write('\n');
            InfoText.Write(output, chain[i]);
        }

        return 0;
    }

    private async ValueTask<List<JsonObject>> CollectAsync(ToolContext context, string name, CancellationToken cancellationToken)
    {
        var chain = new List<JsonObject>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        (string? next, string? format, bool isOptions) = (name, _format, _isOptions);
        while (next is not null)
        {
            if (!seen.Add(next)) throw new ToolException($"Backing file '{next}' creates an infinite loop.");
            var image = new ImageArgument(next, format, isOptions)
            {
                Settings = new() { ReadOnly = true, ForceShare = _forceShare },
                NoBacking = true,
                NoIO = true,
            };
            BlockNode node = await context.OpenNodeAsync(image, cancellationToken).ConfigureAwait(false);
            JsonObject info = await ImageInfo.OfAsync(node, cancellationToken).ConfigureAwait(false);
            using (await context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false))
            {
                await context.Graph.ReleaseAsync(node).ConfigureAwait(false);
            }

            chain.Add(info);
            next = _wholeChain ? (string?)info["full-backing-filename"] : null;
            (format, isOptions) = ((string?)info["backing-filename-format"], false);
        }

        return chain;
    }
}
