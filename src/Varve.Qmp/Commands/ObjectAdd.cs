using System.Text.Json.Nodes;
using Varve.Options;
using Varve.Objects;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>object-add</c>: makes an object: a secret, a throttle group, an I/O thread.</summary>
internal sealed class ObjectAdd() : QmpCommand("object-add", ObjectOptions.Type)
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.Objects.Add(call.Arguments);
        return default;
    }
}
