using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Varve.Options;

/// <summary>Writes JSON exactly as the reference does, where scripts compare it: <c>json:</c> file names.</summary>
/// <remarks>
/// Members come in the order of a hash of their names, not of insertion; separators are followed by a space; everything
/// beyond ASCII is escaped.
/// </remarks>
internal static class JsonText
{
    private const int Buckets = 512;

    /// <summary>One line of JSON.</summary>
    public static string Write(JsonNode? value)
    {
        var text = new StringBuilder();
        Append(text, value);
        return text.ToString();
    }

    /// <summary>The members of an object in the reference's order of output.</summary>
    public static IEnumerable<KeyValuePair<string, JsonNode?>> InOrder(JsonObject value)
        => value.Reverse().OrderBy(m => Hash(m.Key) % Buckets);   // within one bucket the newest comes first

    private static void Append(StringBuilder text, JsonNode? value)
    {
        switch (value)
        {
            case null:
                text.Append("null");
                break;
            case JsonObject members:
                text.Append('{');
                AppendSeparated(text, InOrder(members), m =>
                {
                    AppendString(text, m.Key);
                    text.Append(": ");
                    Append(text, m.Value);
                });
                text.Append('}');
                break;
            case JsonArray elements:
                text.Append('[');
                AppendSeparated(text, elements, e => Append(text, e));
                text.Append(']');
                break;
            case JsonValue scalar when scalar.GetValueKind() == JsonValueKind.String:
                AppendString(text, scalar.GetValue<string>());
                break;
            default:
                text.Append(value.ToJsonString());
                break;
        }
    }

    private static void AppendSeparated<T>(StringBuilder text, IEnumerable<T> items, Action<T> append)
    {
        bool isFirst = true;
        foreach (T item in items)
        {
            if (!isFirst) text.Append(", ");
            isFirst = false;
            append(item);
        }
    }

    /// <summary>A JSON string with the escapes the reference writes; everything beyond ASCII is escaped.</summary>
    public static void AppendString(StringBuilder text, string value)
    {
        text.Append('"');
        foreach (char c in value)
        {
            switch (c)
            {
                case '"': text.Append("\\\""); break;
                case '\\': text.Append("\\\\"); break;
                case '\b': text.Append("\\b"); break;
                case '\f': text.Append("\\f"); break;
                case '\n': text.Append("\\n"); break;
                case '\r': text.Append("\\r"); break;
                case '\t': text.Append("\\t"); break;
                case < ' ' or >= '\x7f': text.Append($"\\u{(int)c:X4}"); break;
                default: text.Append(c); break;
            }
        }

        text.Append('"');
    }

    /// <summary>The hash the reference files member names by.</summary>
    private static uint Hash(string name)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(name);
        uint value = 0x238F13AF * (uint)bytes.Length;
        for (int i = 0; i < bytes.Length; i++) value += (uint)bytes[i] << (i * 5 % 24);
        return unchecked((1103515243 * value) + 12345);
    }
}
