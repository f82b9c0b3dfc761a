using System.Globalization;
using System.Text.Json.Nodes;

namespace Varve.Options;

/// <summary>The strict option strings of newer options: <c>driver=qcow2,file.driver=file,file.filename=x</c>.</summary>
/// <remarks>
/// Dots nest, all-number keys make lists, <c>,,</c> is a comma inside a value. Every value is a string; types come with
/// <see cref="OptionChecker"/> in <see cref="OptionStyle.Keyval"/>.
/// </remarks>
internal static class Keyval
{
    private const int MaxFragment = 127;

    /// <summary>Reads an option string.</summary>
    /// <param name="text">Comma separated <c>key=value</c>.</param>
    /// <param name="impliedKey">The key of a first value without one; null where every value needs its key.</param>
    /// <returns>Nested objects, lists and strings.</returns>
    /// <exception cref="BlockException"><see cref="BlockErrorKind.Invalid"/>: the text is malformed or contradicts itself.</exception>
    public static JsonObject Parse(string text, string? impliedKey = null)
    {
        var root = new JsonObject();
        int position = 0;
        while (position < text.Length)
        {
            int keyEnd = text.AsSpan(position).IndexOfAny('=', ',');
            keyEnd = keyEnd < 0 ? text.Length : position + keyEnd;
            string key = text[position..keyEnd];
            if (impliedKey is not null && (keyEnd == text.Length || text[keyEnd] == ',') && key.Length > 0)
            {
                key = impliedKey;   // the value begins where the key would have
            }
            else
            {
                if (keyEnd == text.Length || text[keyEnd] != '=')
                {
                    throw Invalid(IsValidKey(key) ? $"Expected '=' after parameter '{key}'" : $"Invalid parameter '{key}'");
                }

                position = keyEnd + 1;
            }

            impliedKey = null;
            string value = ReadValue(text, ref position);
            Put(root, key, value);
        }

        return (JsonObject)MakeLists(root, "");
    }

    /// <summary>A value up to a single comma; <paramref name="position"/> moves behind that comma.</summary>
    internal static string ReadValue(string text, ref int position)
    {
        var value = new System.Text.StringBuilder();
        while (position < text.Length)
        {
            char c = text[position++];
            if (c == ',')
            {
                if (position == text.Length || text[position] != ',') break;
                position++;
            }

            value.Append(c);
        }

        return value.ToString();
    }

    /// <summary>Puts a value under a dotted key, making the objects on the way; a later value replaces an earlier one.</summary>
    internal static void Put(JsonObject root, string key, JsonNode? value)
    {
        JsonObject current = root;
        int start = 0;
        while (true)
        {
            int dot = key.IndexOf('.', start);
            string fragment = dot < 0 ? key[start..] : key[start..dot];
            if (!IsValidFragment(fragment)) throw Invalid($"Invalid parameter '{key}'");
            if (fragment.Length > MaxFragment) throw Invalid($"Parameter '{key}' is too long");
            JsonNode? existing = current[fragment];
            if (dot < 0)
            {
                if (existing is JsonObject) throw Inconsistent(key);
                current[fragment] = value;
                return;
            }

            if (existing is null) current[fragment] = existing = new JsonObject();
            current = existing as JsonObject ?? throw Inconsistent(key[..dot]);
            start = dot + 1;
        }
    }

    /// <summary>Turns objects whose keys are all numbers into lists.</summary>
    /// <param name="node">What <see cref="Put"/> built; taken apart.</param>
    /// <param name="path">Where it lies, for errors.</param>
    internal static JsonNode MakeLists(JsonNode node, string path)
    {
        if (node is not JsonObject members) return node;
        foreach (string key in members.Select(m => m.Key).ToList())
        {
            if (members[key] is not JsonObject inner) continue;
            JsonNode made = MakeLists(inner, path + key + ".");
            if (!ReferenceEquals(made, inner)) members[key] = made;
        }

        int indices = members.Count(m => char.IsAsciiDigit(m.Key[0]));
        if (indices == 0) return members;
        if (indices < members.Count || path.Length == 0) throw Inconsistent(path.TrimEnd('.'));
        var list = new JsonArray();
        for (int i = 0; i < indices; i++)
        {
            string index = i.ToString(CultureInfo.InvariantCulture);
            if (!members.Remove(index, out JsonNode? element)) throw Invalid($"Parameter '{path}{index}' missing");
            list.Add(element);
        }

        return list;
    }

    private static bool IsValidKey(string key) => key.Split('.').All(IsValidFragment);

    private static bool IsValidFragment(string fragment)
        => fragment.Length > 0 && (char.IsAsciiDigit(fragment[0])
            ? fragment.All(char.IsAsciiDigit)
            : (char.IsAsciiLetter(fragment[0]) || fragment[0] == '_') && fragment.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_'));

    private static BlockException Inconsistent(string key) => Invalid($"Parameters '{key}.*' used inconsistently");

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);
}
