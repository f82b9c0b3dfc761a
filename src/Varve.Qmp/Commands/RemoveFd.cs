using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>remove-fd</c>: takes a descriptor, or all, out of a set.</summary>
internal sealed class RemoveFd() : QmpCommand("remove-fd", Required("fdset-id", Int), Optional("fd", Int))
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.Graph.FdSets.Remove(call.Number("fdset-id"), call.OptionalNumber("fd"));
        return default;
    }
}
