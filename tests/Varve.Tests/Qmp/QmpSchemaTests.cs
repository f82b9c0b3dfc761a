using System.Text.Json.Nodes;
using Varve.Qmp.Commands;
using Varve.Qmp.Events;
using Varve.Qmp.Schema;
using Varve.Tests.Support;

namespace Varve.Tests.Qmp;

/// <summary>Introspection: it holds together, and says of each command what the reference says.</summary>
public sealed class QmpSchemaTests
{
    private static readonly JsonArray s_schema = SchemaBuilder.Build(CommandTable.All, QmpEventType.All);

    private static readonly Dictionary<string, JsonObject> s_byName = Index(s_schema);

    [Fact]
    public void Every_type_that_is_referred_to_is_described_once()
    {
        Assert.Equal(s_schema.Count, s_byName.Count);
        foreach (JsonNode? entry in s_schema)
        {
            foreach (string name in References(entry!)) Assert.True(s_byName.ContainsKey(name), $"{entry!["name"]} refers to {name}");
        }
    }

    [Fact]
    public void Every_entry_has_the_members_of_its_meta_type()
    {
        foreach (JsonObject entry in s_byName.Values)
        {
            string[] expected = (string)entry["meta-type"]! switch
            {
                "builtin" => ["json-type"],
                "enum" => ["members", "values"],
                "array" => ["element-type"],
                "object" => entry.ContainsKey("tag") ? ["members", "tag", "variants"] : ["members"],
                "alternate" => ["members"],
                "command" => ["arg-type", "ret-type"],
                _ => ["arg-type"],
            };
            Assert.Equal(
                expected.Order(), entry.Select(m => m.Key).Where(k => k is not ("name" or "meta-type" or "features" or "allow-oob")).Order());
        }
    }

    [Fact]
    public void A_tag_is_a_member_and_has_a_variant_for_each_of_its_values()
    {
        foreach (JsonObject entry in s_byName.Values.Where(e => e.ContainsKey("tag")))
        {
            JsonNode tag = Assert.Single(entry["members"]!.AsArray(), m => (string)m!["name"]! == (string)entry["tag"]!)!;
            IEnumerable<string> values = s_byName[(string)tag["type"]!]["values"]!.AsArray().Select(v => (string)v!);
            Assert.Equal(values, entry["variants"]!.AsArray().Select(v => (string)v!["case"]!));
        }
    }

    [Fact]
    public void Query_commands_and_query_qmp_schema_name_the_same_commands()
        => Assert.Equal(
            CommandTable.All.Select(c => c.Name).Order(),
            s_byName.Values.Where(e => (string)e["meta-type"]! == "command").Select(e => (string)e["name"]!).Order());

    [Fact]
    public async Task The_commands_both_have_take_the_same_arguments()
    {
        Dictionary<string, JsonObject> theirs = await ReferenceSchemaAsync();
        List<string> differences = [];
        foreach (QmpCommand command in CommandTable.All)
        {
            if (!theirs.TryGetValue(command.Name, out JsonObject? entry)) continue;
            Compare($"{command.Name}", s_byName, (string)s_byName[command.Name]["arg-type"]!, theirs, (string)entry["arg-type"]!, differences, []);
        }

        // Ours on top: the reference makes raw images by making the file. Detached LUKS headers are newer than it.
        differences.RemoveAll(d => d.StartsWith("blockdev-create.options<raw>.", StringComparison.Ordinal));
        differences.RemoveAll(d => d.Contains("<luks>.header", StringComparison.Ordinal) || d.Contains("<luks>.file: optional", StringComparison.Ordinal));

        // The reference's schema calls this type authz-listfile, by which it cannot be made; ours has the type's own name.
        differences.Remove("object-add.qom-type: value authz-list-file");
        Assert.Empty(differences);
    }

    [Fact]
    public async Task The_events_both_have_carry_the_same_data()
    {
        Dictionary<string, JsonObject> theirs = await ReferenceSchemaAsync();
        List<string> differences = [];
        foreach (QmpEventType type in QmpEventType.All)
        {
            Assert.True(theirs.ContainsKey(type.Name), type.Name);
            Compare(type.Name, s_byName, (string)s_byName[type.Name]["arg-type"]!, theirs, (string)theirs[type.Name]["arg-type"]!, differences, []);
        }

        Assert.Empty(differences);
    }

    /// <summary>Every member we declare is theirs too, of the same type and as optional; and none that they require is missing.</summary>
    private static void Compare(
        string path, Dictionary<string, JsonObject> ours, string ourName, Dictionary<string, JsonObject> theirs, string theirName,
        List<string> differences, HashSet<(string, string)> seen)
    {
        if (!seen.Add((ourName, theirName))) return;
        JsonObject our = ours[ourName], their = theirs[theirName];
        string ourMeta = (string)our["meta-type"]!, theirMeta = (string)their["meta-type"]!;
        if (ourMeta != theirMeta)
        {
            differences.Add($"{path}: {ourMeta}, not {theirMeta}");
            return;
        }

        switch (ourMeta)
        {
            case "builtin" when ourName != theirName:
                differences.Add($"{path}: {ourName}, not {theirName}");
                break;
            case "enum":
                IEnumerable<string> known = their["values"]!.AsArray().Select(v => (string)v!);
                differences.AddRange(our["values"]!.AsArray().Select(v => (string)v!).Except(known).Except(s_newer).Select(v => $"{path}: value {v}"));
                break;
            case "array":
                Compare(path + "[]", ours, (string)our["element-type"]!, theirs, (string)their["element-type"]!, differences, seen);
                break;
            case "object":
                CompareObjects(path, ours, our, theirs, their, differences, seen);
                break;
        }
    }

    private static void CompareObjects(
        string path, Dictionary<string, JsonObject> ours, JsonObject our, Dictionary<string, JsonObject> theirs, JsonObject their,
        List<string> differences, HashSet<(string, string)> seen)
    {
        Dictionary<string, JsonNode> members = their["members"]!.AsArray().ToDictionary(m => (string)m!["name"]!, m => m!);
        foreach (JsonNode? member in our["members"]!.AsArray())
        {
            string name = (string)member!["name"]!, at = $"{path}.{name}";
            if (!members.Remove(name, out JsonNode? theirMember))
            {
                if (!s_newer.Contains(name)) differences.Add($"{at}: unknown to the reference");
                continue;
            }

            if (member.AsObject().ContainsKey("default") != theirMember.AsObject().ContainsKey("default")) differences.Add($"{at}: optional differs");
            Compare(at, ours, (string)member["type"]!, theirs, (string)theirMember["type"]!, differences, seen);
        }

        differences.AddRange(members.Values.Where(m => !m.AsObject().ContainsKey("default")).Select(m => $"{path}.{m["name"]}: missing"));
        if (!our.ContainsKey("tag")) return;
        Dictionary<string, string> variants = their["variants"]!.AsArray().ToDictionary(v => (string)v!["case"]!, v => (string)v!["type"]!);
        foreach (JsonNode? variant in our["variants"]!.AsArray())
        {
            string value = (string)variant!["case"]!;
            if (variants.TryGetValue(value, out string? type)) Compare($"{path}<{value}>", ours, (string)variant["type"]!, theirs, type, differences, seen);
        }
    }

    /// <summary>What the version that may be installed here (7.2) has not: the one we follow has it, or a later one (<c>multi-conn</c>).</summary>
    private static readonly HashSet<string> s_newer = ["discard-no-unref", "mptcp", "multi-conn"];

    private static async Task<Dictionary<string, JsonObject>> ReferenceSchemaAsync()
    {
        QmpTranscript answers = await new QmpScript().Add("query-qmp-schema").RunOnReferenceAsync();
        return Index(JsonNode.Parse(answers.Replies[0]["return ".Length..])!.AsArray());
    }

    private static Dictionary<string, JsonObject> Index(JsonArray schema) => schema.ToDictionary(e => (string)e!["name"]!, e => e!.AsObject());

    private static IEnumerable<string> References(JsonNode entry)
    {
        IEnumerable<JsonNode?> listed = (entry["members"] as JsonArray ?? []).Concat(entry["variants"] as JsonArray ?? []);
        return new[] { entry["element-type"], entry["arg-type"], entry["ret-type"] }.Concat(listed.Select(m => m!["type"]))
            .Where(n => n is not null).Select(n => (string)n!);
    }
}
