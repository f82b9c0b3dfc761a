using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>object-del</c>: removes an object nobody uses.</summary>
internal sealed class ObjectDel() : QmpCommand("object-del", Required("id", Str))
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.Objects.Remove(call.Text("id"));
        return default;
    }
}
