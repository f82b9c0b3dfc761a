using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Qmp.Json;

/// <summary>Writes messages as the reference does: ASCII only, members in its order, a blank after colons and commas, one line a message or indented by four.</summary>
internal static class QmpJson
{
    /// <summary>A message and its line end, in UTF-8.</summary>
    public static byte[] ToLine(JsonNode message, bool pretty)
    {
        var text = new StringBuilder();
        Write(text, message, pretty ? 0 : -1);
        return Encoding.ASCII.GetBytes(text.Append("\r\n").ToString());
    }

    /// <summary>The value as text on one line.</summary>
    public static string ToText(JsonNode? value)
    {
        var text = new StringBuilder();
        Write(text, value, indent: -1);
        return text.ToString();
    }

    // indent: the level of the line the value begins on; negative: everything on one line.
    private static void Write(StringBuilder text, JsonNode? value, int indent)
    {
        switch (value)
        {
            case null:
                text.Append("null");
                break;
            case JsonObject members:
                WriteList(text, '{', '}', (List<KeyValuePair<string, JsonNode?>>)[.. JsonText.InOrder(members)], indent, static (text, member, indent) =>
                {
                    JsonText.AppendString(text, member.Key);
                    text.Append(": ");
                    Write(text, member.Value, indent);
                });
                break;
            case JsonArray elements:
                WriteList<JsonNode?>(text, '[', ']', [.. elements], indent, Write);
                break;
            default:
                WriteScalar(text, (JsonValue)value);
                break;
        }
    }

    private static void WriteList<T>(
        StringBuilder text, char open, char close, IReadOnlyList<T> items, int indent, Action<StringBuilder, T, int> writeItem)
    {
        text.Append(open);
        int inner = indent < 0 ? indent : indent + 1;
        bool first = true;
        foreach (T item in items)
        {
            if (!first) text.Append(indent < 0 ? ", " : ",");
            first = false;
            if (indent >= 0) text.Append("\r\n").Append(' ', 4 * inner);
            writeItem(text, item, inner);
        }

        if (indent >= 0) text.Append("\r\n").Append(' ', 4 * indent);
        text.Append(close);
    }

    private static void WriteScalar(StringBuilder text, JsonValue value)
    {
        switch (value.GetValueKind())
        {
            case JsonValueKind.String: JsonText.AppendString(text, value.GetValue<string>()); break;
            case JsonValueKind.True: text.Append("true"); break;
            case JsonValueKind.False: text.Append("false"); break;
            default: text.Append(value.ToJsonString()); break;
        }
    }
}
