using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>getfd</c>: takes the descriptor that came with the command and gives it a name.</summary>
internal sealed class GetFd() : QmpCommand("getfd", Required("fdname", Str))
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.NamedDescriptors.Add(call.Text("fdname"), call.TakeDescriptor());
        return default;
    }
}
