using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>query-chardev</c>: all character devices.</summary>
internal sealed class QueryChardev() : QmpCommand("query-chardev")
{
    private static readonly ObjectType s_info = new("ChardevInfo", [Required("label", Str), Required("filename", Str), Required("frontend-open", Bool)]);

    public override OptionType Returns => s_info.List;

    public override bool NeedsControlLock => false;

    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        return new(new JsonArray([.. call.Context.Chardevs.All.Select(c => (JsonNode)new JsonObject
        {
            ["label"] = c.Id,
            ["filename"] = c.Filename,
            ["frontend-open"] = c.IsFrontendOpen,
        })]));
    }
}
