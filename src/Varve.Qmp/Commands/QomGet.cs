using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>qom-get</c>: the value of an object's property.</summary>
internal sealed class QomGet() : QmpCommand("qom-get", Required("path", Str), Required("property", Str))
{
    public override OptionType Returns => Any;

    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        return new(call.Context.Qom.Get(call.Text("path"), call.Text("property")));
    }
}
