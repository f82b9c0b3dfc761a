using System.Globalization;
using System.Text.Json.Nodes;
using Varve.Options;
using Varve.Qmp.Commands;
using Varve.Qmp.Events;

namespace Varve.Qmp.Schema;

/// <summary>Describes commands and events, and every type they refer to, as <c>query-qmp-schema</c> does.</summary>
/// <remarks>
/// Type names are no part of the interface, so they are numbers, given out in the order in which the types are met. Builtin types
/// keep their names (all integers are <c>int</c>), and an array is its element's name in brackets. QAPI schema, introspect.json.
/// </remarks>
internal sealed class SchemaBuilder
{
    private readonly JsonArray _schema = [];
    private readonly Dictionary<OptionType, string> _names = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<string, string> _builtins = [];
    private readonly Queue<(string Name, OptionType Type)> _undescribed = new();
    private int _numbers;

    private static readonly ObjectType s_empty = new("q_empty", []);

    private SchemaBuilder() { }

    /// <summary>The whole schema.</summary>
    public static JsonArray Build(IEnumerable<QmpCommand> commands, IEnumerable<QmpEventType> events)
    {
        var builder = new SchemaBuilder();
        foreach (QmpCommand command in commands) builder.Add(command);
        foreach (QmpEventType type in events) builder.Add(type);
        while (builder._undescribed.TryDequeue(out (string Name, OptionType Type) next)) builder.Describe(next.Name, next.Type);
        foreach ((string name, string jsonType) in builder._builtins)
        {
            builder._schema.Add((JsonNode)new JsonObject { ["name"] = name, ["meta-type"] = "builtin", ["json-type"] = jsonType });
        }

        return builder._schema;
    }

    private void Add(QmpCommand command)
    {
        JsonObject info = Info(command.Name, "command", command.Features);
        info["arg-type"] = NameOf(Normal(command.Arguments));
        info["ret-type"] = NameOf(command.Returns ?? s_empty);
        if (command.AllowsOutOfBand) info["allow-oob"] = true;
    }

    private void Add(QmpEventType type) => Info(type.Name, "event", [])["arg-type"] = NameOf(Normal(type.Data));

    private JsonObject Info(string name, string metaType, IReadOnlyList<string> features)
    {
        var info = new JsonObject { ["name"] = name, ["meta-type"] = metaType };
        if (features.Count > 0) info["features"] = Strings(features);
        _schema.Add((JsonNode)info);
        return info;
    }

    /// <summary>All types without members are one type.</summary>
    private static ObjectType Normal(ObjectType type) => type.Members.Count == 0 && type.Tag is null ? s_empty : type;

    private string NameOf(OptionType type)
    {
        if (type is BuiltinType builtin)
        {
            string name = builtin.JsonType == "int" ? "int" : builtin.Name;
            _builtins[name] = builtin.JsonType;
            return name;
        }

        if (_names.TryGetValue(type, out string? known)) return known;
        string given = type is ArrayType array ? $"[{NameOf(array.Element)}]" : (_numbers++).ToString(CultureInfo.InvariantCulture);
        _names.Add(type, given);
        _undescribed.Enqueue((given, type));
        return given;
    }

    private void Describe(string name, OptionType type)
    {
        switch (type)
        {
            case EnumType words:
                JsonObject info = Info(name, "enum", []);
                info["members"] = new JsonArray([.. words.Values.Select(v => (JsonNode)new JsonObject { ["name"] = v })]);
                info["values"] = Strings(words.Values);
                break;
            case ArrayType array:
                Info(name, "array", [])["element-type"] = NameOf(array.Element);
                break;
            case AlternateType alternate:
                Info(name, "alternate", [])["members"]
                    = new JsonArray([.. alternate.AllChoices.Select(c => (JsonNode)new JsonObject { ["type"] = NameOf(c.Type) })]);
                break;
            case ObjectType members:
                DescribeObject(name, members);
                break;
        }
    }

    private void DescribeObject(string name, ObjectType type)
    {
        JsonObject info = Info(name, "object", []);
        info["members"] = new JsonArray([.. type.Members.Select(m => (JsonNode)Describe(m))]);
        if (type.Tag is not { } tag) return;
        info["tag"] = tag;
        var values = (EnumType)type.Members.First(m => m.Name == tag).Type;
        info["variants"] = new JsonArray([.. values.Values.Select(v => (JsonNode)new JsonObject
        {
            ["case"] = v,
            ["type"] = NameOf(Normal(type.AllVariants?.GetValueOrDefault(v) ?? s_empty)),
        })]);
    }

    private JsonObject Describe(OptionMember member)
    {
        var info = new JsonObject { ["name"] = member.Name };
        if (member.IsOptional) info["default"] = null;
        if (member.Features.Count > 0) info["features"] = Strings(member.Features);
        info["type"] = NameOf(member.Type is ObjectType type ? Normal(type) : member.Type);
        return info;
    }

    private static JsonArray Strings(IEnumerable<string> values) => new([.. values.Select(v => (JsonNode)JsonValue.Create(v))]);
}
