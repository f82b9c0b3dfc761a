using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>query-commands</c>: the names of all commands.</summary>
internal sealed class QueryCommands() : QmpCommand("query-commands")
{
    public override OptionType Returns { get; } = new ObjectType("CommandInfo", [Required("name", Str)]).List;

    public override bool NeedsControlLock => false;

    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
        => new(new JsonArray([.. CommandTable.All.Select(c => (JsonNode)new JsonObject { ["name"] = c.Name })]));
}
