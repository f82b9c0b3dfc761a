using System.Text.Json.Nodes;
using Varve.Options;
using Varve.Qmp.Schema;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>query-block-exports</c>: all exports, newest first.</summary>
internal sealed class QueryBlockExports() : QmpCommand("query-block-exports")
{
    private static readonly ObjectType s_info = new("BlockExportInfo",
        [Required("id", Str), Required("type", QmpTypes.ExportType), Required("node-name", Str), Required("shutting-down", Bool)]);

    public override OptionType Returns => s_info.List;

    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        return new(new JsonArray([.. call.Context.Exports.Query().Select(e => (JsonNode)new JsonObject
        {
            ["id"] = e.Id,
            ["type"] = e.Type,
            ["node-name"] = e.NodeName,
            ["shutting-down"] = e.IsShuttingDown,
        })]));
    }
}
