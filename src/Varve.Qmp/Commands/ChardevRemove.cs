using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>chardev-remove</c>: closes a character device nobody uses.</summary>
internal sealed class ChardevRemove() : QmpCommand("chardev-remove", Required("id", Str))
{
    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        await call.Context.Chardevs.RemoveAsync(call.Text("id")).ConfigureAwait(false);
        return null;
    }
}
