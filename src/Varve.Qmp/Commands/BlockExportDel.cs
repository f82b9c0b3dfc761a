using System.Text.Json.Nodes;
using Varve.Nbd.Server;
using Varve.Options;
using Varve.Qmp.Schema;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>block-export-del</c>: removes an export; the event tells when it is gone.</summary>
internal sealed class BlockExportDel() : QmpCommand("block-export-del", Required("id", Str), Optional("mode", QmpTypes.ExportRemoveMode))
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.Exports.Remove(call.Text("id"), ModeOf(call.OptionalText("mode")));
        return default;
    }

    internal static ExportRemoveMode ModeOf(string? mode) => mode == "hard" ? ExportRemoveMode.Hard : ExportRemoveMode.Safe;
}
