using System.Text.Json.Nodes;
using Varve.Options;
using Varve.Qmp.Schema;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>query-block</c>: devices of a guest. A storage daemon has none; what it serves is in <c>query-block-exports</c>.</summary>
internal sealed class QueryBlock() : QmpCommand("query-block")
{
    private static readonly ObjectType s_info = new("BlockInfo",
    [
        Required("device", Str), Optional("qdev", Str), Required("type", Str), Required("removable", Bool), Required("locked", Bool),
        Optional("inserted", BlockInfoTypes.Device), Optional("tray_open", Bool), Optional("io-status", QmpTypes.IOStatus),
    ]);

    public override OptionType Returns => s_info.List;

    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken) => new(new JsonArray());
}
