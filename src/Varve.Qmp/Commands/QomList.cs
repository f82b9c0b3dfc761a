using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>qom-list</c>: the properties of an object, or the objects.</summary>
internal sealed class QomList() : QmpCommand("qom-list", Required("path", Str))
{
    private static readonly ObjectType s_info = new("ObjectPropertyInfo",
        [Required("name", Str), Required("type", Str), Optional("description", Str), Optional("default-value", Any)]);

    public override OptionType Returns => s_info.List;

    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        return new(new JsonArray([.. call.Context.Qom.List(call.Text("path")).Select(p => (JsonNode)new JsonObject { ["name"] = p.Name, ["type"] = p.Type })]));
    }
}
