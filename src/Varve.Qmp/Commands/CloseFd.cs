using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>closefd</c>: closes a descriptor that <c>getfd</c> named.</summary>
internal sealed class CloseFd() : QmpCommand("closefd", Required("fdname", Str))
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.NamedDescriptors.Close(call.Text("fdname"));
        return default;
    }
}
