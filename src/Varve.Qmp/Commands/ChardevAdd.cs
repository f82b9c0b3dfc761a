using System.Text.Json.Nodes;
using Varve.Options;
using Varve.Qmp.Server.Chardevs;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>chardev-add</c>: opens a character device.</summary>
internal sealed class ChardevAdd() : QmpCommand("chardev-add", Required("id", Str), Required("backend", ChardevOptions.Backend))
{
    private static readonly ObjectType s_result = new("ChardevReturn", [Optional("pty", Str)]);

    public override OptionType Returns => s_result;

    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        string id = call.Text("id");
        try
        {
            await call.Context.Chardevs.AddAsync(ChardevOptions.FromBackend(id, call.Object("backend")), cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e) when (e.InnerException is not null)
        {
            throw new BlockException(e.Kind, $"Failed to add chardev '{id}': {e.Message}", e);
        }

        return new JsonObject();
    }
}
