using System.Text.Json.Nodes;
using Varve.Options;
using Varve.Protocols.File;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>query-fdsets</c>: every descriptor set.</summary>
internal sealed class QueryFdSets() : QmpCommand("query-fdsets")
{
    private static readonly ObjectType s_descriptor = new("FdsetFdInfo", [Required("fd", Int), Optional("opaque", Str)]),
        s_set = new("FdsetInfo", [Required("fdset-id", Int), Required("fds", s_descriptor.List)]);

    public override OptionType Returns => s_set.List;

    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        return new(new JsonArray([.. call.Context.Graph.FdSets.Query().Select(s => (JsonNode)new JsonObject
        {
            ["fdset-id"] = s.Id,
            ["fds"] = new JsonArray([.. s.Descriptors.Select(d => (JsonNode)Describe(d))]),
        })]));
    }

    private static JsonObject Describe(FdSets.DescriptorInfo descriptor)
    {
        var info = new JsonObject { ["fd"] = descriptor.Fd };
        if (descriptor.Opaque is not null) info["opaque"] = descriptor.Opaque;
        return info;
    }
}
