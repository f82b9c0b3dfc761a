using System.Text.Json.Nodes;
using Varve.Cli.Img;
using Varve.Graph;

namespace Varve.Cli.Io.Commands;

/// <summary><c>info</c>: what the image is.</summary>
internal sealed class InfoCommand : IoCommand
{
    public override string Name => "info";

    public override string Alias => "i";

    public override string Summary => "prints information about the current file";

    public override ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        BlockNode node = engine.Image.Node.SkipImplicitFilters();
        engine.Output.Print($"format name: {node.Driver.Name}\n");
        if (node.Driver.IsProtocol) engine.Output.Print($"format name: {node.Driver.ProtocolPrefixes[0]}\n");
        if (node.IsDirty is null) return new(false);   // the driver knows nothing of itself
        engine.Output.Print($"cluster size: {IoReport.Size(node.ClusterSize)}\nvm state offset: {IoReport.Size(node.VmStateOffset)}\n");
        if (node.GetSpecificInfo()?["data"] is JsonObject specific)
        {
            using var text = new StringWriter { NewLine = "\n" };
            InfoText.WriteSpecific(text, specific);
            engine.Output.Print(text.ToString());
        }

        return new(true);
    }
}
