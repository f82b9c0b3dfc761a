using System.Text.Json.Nodes;
using Varve.Options;
using Varve.Qmp.Schema;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>nbd-server-remove</c>: removes an NBD export by its name.</summary>
internal sealed class NbdServerRemove() : QmpCommand("nbd-server-remove", Required("name", Str), Optional("mode", QmpTypes.ExportRemoveMode))
{
    public override IReadOnlyList<string> Features => ["deprecated"];

    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.Exports.Remove(call.Text("name"), BlockExportDel.ModeOf(call.OptionalText("mode")));
        return default;
    }
}
