using System.Globalization;
using System.Text.Json.Nodes;

namespace Varve.Options;

/// <summary>Options written with dotted keys (<c>"file.filename"</c>) instead of nested objects, or with both.</summary>
internal static class DottedKeys
{
    private const int MaxDepth = 128;

    /// <summary>Nests every dotted key, at every level; objects whose keys are 0, 1, 2... become lists.</summary>
    /// <param name="options">Read, not changed.</param>
    /// <exception cref="BlockException"><see cref="BlockErrorKind.Invalid"/>: a key is both a value and a group.</exception>
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
            Put(group as JsonObject ?? throw Mixed(head), key[(dot + 1)..], value, depth + 1);
            return;
        }

        if (!target.TryGetPropertyValue(key, out JsonNode? existing))
        {
            target[key] = value;
        }
        else if (existing is JsonObject group && value is JsonObject more)
        {
            foreach ((string name, JsonNode? member) in more.ToList())
            {
                more.Remove(name);
                Put(group, name, member, depth + 1);
            }
        }
        else
        {
            throw Mixed(key);
        }
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

    private static BlockException Mixed(string key) => new(BlockErrorKind.Invalid, $"Cannot mix scalar and non-scalar keys: '{key}'");
}
