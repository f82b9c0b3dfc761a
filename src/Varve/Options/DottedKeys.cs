using System.Globalization;
using System.Text.Json.Nodes;

namespace Varve.Options;

/// <summary>Options written with dotted keys (<c>"file.filename"</c>) instead of nested objects, or with both.</summary>
/// <remarks>
/// Where a key is both a value and a group (<c>overlap-check=all,overlap-check.template=none</c>), the value keeps the key and the
/// group's members stay dotted beside it: a driver that knows both may judge them, and no other takes them.
/// </remarks>
internal static class DottedKeys
{
    private const int MaxDepth = 128;

    /// <summary>Nests every dotted key, at every level; objects whose keys are 0, 1, 2... become lists.</summary>
    /// <param name="options">Read, not changed.</param>
    /// <exception cref="BlockException">Nested too deep, or <see cref="BlockErrorKind.Invalid"/>: a key is there twice.</exception>
    public static JsonObject Nest(JsonObject options) => (JsonObject)Lists(NestMembers(options, depth: 0), isRoot: true);

    /// <summary>The dotted key of the first scalar in <paramref name="options"/>: how leftovers are reported.</summary>
    public static string FirstKey(JsonObject options)
    {
        (string key, JsonNode? value) = options.First();
        return value is JsonObject { Count: > 0 } inner ? $"{key}.{FirstKey(inner)}" : key;
    }

    private static JsonObject NestMembers(JsonObject options, int depth)
    {
        if (depth > MaxDepth) throw new BlockException(BlockErrorKind.TooLarge, $"Options are nested deeper than {MaxDepth} levels");
        var result = new JsonObject();
        foreach ((string key, JsonNode? value) in options)
        {
            Put(result, key, value is JsonObject inner ? NestMembers(inner, depth + 1) : value?.DeepClone(), depth);
        }

        return result;
    }

    private static void Put(JsonObject target, string key, JsonNode? value, int depth)
    {
        if (depth > MaxDepth) throw new BlockException(BlockErrorKind.TooLarge, $"Options are nested deeper than {MaxDepth} levels");
        int dot = key.IndexOf('.', StringComparison.Ordinal);
        if (dot > 0 && dot < key.Length - 1)
        {
            string head = key[..dot];
            if (!target.TryGetPropertyValue(head, out JsonNode? group)) target[head] = group = new JsonObject();
            if (group is JsonObject members) Put(members, key[(dot + 1)..], value, depth + 1);
            else PutNew(target, key, value);
            return;
        }

        switch (target[key], value)
        {
            case (JsonObject group, JsonObject more):
                foreach ((string name, JsonNode? member) in more.ToList())
                {
                    more.Remove(name);
                    Put(group, name, member, depth + 1);
                }

                break;
            case (JsonObject group, not JsonArray):
                target[key] = value;
                PutDotted(target, key, group);
                break;
            case (JsonValue, JsonObject group):
                PutDotted(target, key, group);
                break;
            default:
                PutNew(target, key, value);
                break;
        }
    }

    private static void PutDotted(JsonObject target, string head, JsonObject members)
    {
        foreach ((string name, JsonNode? member) in members.ToList())
        {
            members.Remove(name);
            PutNew(target, $"{head}.{name}", member);
        }
    }

    private static void PutNew(JsonObject target, string key, JsonNode? value)
    {
        if (!target.TryAdd(key, value)) throw new BlockException(BlockErrorKind.Invalid, $"Cannot mix scalar and non-scalar keys: '{key}'");
    }

    private static JsonNode Lists(JsonObject members, bool isRoot = false)
    {
        foreach ((string key, JsonNode? value) in members.ToList())
        {
            if (value is not JsonObject inner) continue;
            JsonNode made = Lists(inner);
            if (!ReferenceEquals(made, inner)) members[key] = made;
        }

        if (isRoot || members.Count == 0) return members;
        for (int i = 0; i < members.Count; i++)
        {
            if (!members.ContainsKey(i.ToString(CultureInfo.InvariantCulture))) return members;
        }

        var list = new JsonArray();
        for (int i = 0; members.Remove(i.ToString(CultureInfo.InvariantCulture), out JsonNode? element); i++) list.Add(element);
        return list;
    }
}
