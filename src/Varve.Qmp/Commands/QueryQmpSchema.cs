using System.Text.Json.Nodes;
using Varve.Options;
using Varve.Qmp.Events;
using Varve.Qmp.Schema;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>query-qmp-schema</c>: every command, event and type, made from the same declarations that check arguments.</summary>
internal sealed class QueryQmpSchema() : QmpCommand("query-qmp-schema")
{
    private static readonly EnumType s_metaType = new("SchemaMetaType", ["builtin", "enum", "array", "object", "alternate", "command", "event"]),
        s_jsonType = new("JSONType", ["string", "number", "int", "boolean", "null", "object", "array", "value"]);

    private static readonly ObjectType s_enumMember = new("SchemaInfoEnumMember", [Required("name", Str), Optional("features", Str.List)]),
        s_objectMember = new("SchemaInfoObjectMember",
            [Required("name", Str), Required("type", Str), Optional("default", Any), Optional("features", Str.List)]),
        s_variant = new("SchemaInfoObjectVariant", [Required("case", Str), Required("type", Str)]),
        s_alternateMember = new("SchemaInfoAlternateMember", [Required("type", Str)]);

    public override OptionType Returns { get; } = new ObjectType(
        "SchemaInfo",
        [Required("name", Str), Required("meta-type", s_metaType), Optional("features", Str.List)],
        "meta-type",
        new Dictionary<string, ObjectType>
        {
            ["builtin"] = new("SchemaInfoBuiltin", [Required("json-type", s_jsonType)]),
            ["enum"] = new("SchemaInfoEnum",
                [Required("members", s_enumMember.List), Required("values", Str.List) with { Features = ["deprecated"] }]),
            ["array"] = new("SchemaInfoArray", [Required("element-type", Str)]),
            ["object"] = new("SchemaInfoObject",
                [Required("members", s_objectMember.List), Optional("tag", Str), Optional("variants", s_variant.List)]),
            ["alternate"] = new("SchemaInfoAlternate", [Required("members", s_alternateMember.List)]),
            ["command"] = new("SchemaInfoCommand", [Required("arg-type", Str), Required("ret-type", Str), Optional("allow-oob", Bool)]),
            ["event"] = new("SchemaInfoEvent", [Required("arg-type", Str)]),
        }).List;

    public override bool NeedsControlLock => false;

    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
        => new(SchemaBuilder.Build(CommandTable.All, QmpEventType.All));
}
