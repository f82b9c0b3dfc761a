using System.Text.Json;
using System.Text.Json.Nodes;

namespace Varve.Graph;

internal sealed partial class BlockGraph
{
    /// <summary>Opens a node and its children from options (the form of <c>blockdev-add</c>). Needs <see cref="ControlLock"/>.</summary>
    /// <returns>The node; the caller holds a reference.</returns>
    public async ValueTask<BlockNode> OpenNodeAsync(JsonObject options, OpenContext context, NodeSettings? inherited = null, CancellationToken cancellationToken = default)
    {
        string? driverName = (string?)options["driver"];
        BlockDriver driver = Drivers.Find(driverName ?? "") ?? throw new BlockException(BlockErrorKind.Invalid, $"Unknown driver '{driverName}'");
        options.Remove("driver");
        string name = (string?)options["node-name"] ?? GenerateNodeName();
        options.Remove("node-name");
        NodeSettings settings = inherited ?? new NodeSettings();
        if (options["read-only"] is { } readOnly)
        {
            settings = settings with { ReadOnly = (bool)readOnly };
            options.Remove("read-only");
        }

        var opening = new NodeOpening(this, driver, name, settings, options) { Context = context };
        BlockNode node = await driver.OpenAsync(opening, cancellationToken).ConfigureAwait(false);
        if (options.Count > 0) throw new BlockException(BlockErrorKind.Invalid, $"Block format '{driver.Name}' does not support the option '{options.First().Key}'");
        Add(node);
        return node;
    }

    /// <summary>Opens an inline child or finds a referenced one; the caller holds a reference.</summary>
    internal async ValueTask<BlockNode> OpenChildNodeAsync(NodeOpening parent, JsonNode? description, ChildRole role, CancellationToken cancellationToken)
    {
        if (description is JsonValue value && value.GetValueKind() == JsonValueKind.String)
        {
            BlockNode node = FindNode(value.GetValue<string>())
                ?? throw new BlockException(BlockErrorKind.NotFound, $"Cannot find device='' nor node-name='{value.GetValue<string>()}'");
            node.ExplicitReferences++;
            return node;
        }

        NodeSettings settings = parent.Settings with { InheritsReadOnly = true, ReadOnly = (role & ChildRole.Cow) != 0 || parent.Settings.ReadOnly };
        return await OpenNodeAsync((JsonObject)description!, parent.Context, settings, cancellationToken).ConfigureAwait(false);
    }
}
