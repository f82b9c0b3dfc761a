using System.Text.Json.Nodes;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>change-backing-file</c>: rewrites the backing name in an image's header; the graph stays as it is.</summary>
internal sealed class ChangeBackingFile()
    : QmpCommand("change-backing-file", Required("device", Str), Required("image-node-name", Str), Required("backing-file", Str))
{
    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        await call.Context.Graph.ChangeBackingFileAsync(
            call.Text("device"), call.Text("image-node-name"), call.Text("backing-file"), cancellationToken).ConfigureAwait(false);
        return null;
    }
}
