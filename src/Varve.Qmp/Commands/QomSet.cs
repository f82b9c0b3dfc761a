using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>qom-set</c>: sets a property of an object.</summary>
internal sealed class QomSet() : QmpCommand("qom-set", Required("path", Str), Required("property", Str), Required("value", Any))
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.Qom.Set(call.Text("path"), call.Text("property"), call.Arguments["value"]);
        return default;
    }
}
