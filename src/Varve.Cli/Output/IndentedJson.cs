using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Cli.Output;

/// <summary>JSON as the reference's tools print it: four spaces a level, an empty list on two lines, only ASCII.</summary>
internal static class IndentedJson
{
    /// <summary>The indented text, without a line end.</summary>
    public static string Of(JsonNode? node)
    {
        var text = new StringBuilder();
        Append(text, node, level: 0);
        return text.ToString();
    }

    private static void Append(StringBuilder text, JsonNode? node, int level)
    {
        switch (node)
        {
            case JsonObject members:
                AppendList(text, '{', '}', level, members, (member, inner) =>
                {
                    JsonText.AppendString(text, member.Key);
                    text.Append(": ");
                    Append(text, member.Value, inner);
                });
                break;
            case JsonArray items:
                AppendList(text, '[', ']', level, items, (item, inner) => Append(text, item, inner));
                break;
            case JsonValue value when value.GetValueKind() == JsonValueKind.String:
                JsonText.AppendString(text, value.GetValue<string>());
                break;
            case JsonValue value:
                text.Append(value.ToJsonString());
                break;
            default:
                text.Append("null");
                break;
        }
    }

    private static void AppendList<T>(StringBuilder text, char open, char close, int level, IEnumerable<T> items, Action<T, int> append)
    {
        text.Append(open);
        bool first = true;
        foreach (T item in items)
        {
            if (!first) text.Append(',');
            first = false;
            text.Append('\n').Append(' ', 4 * (level + 1));
            append(item, level + 1);
        }

        text.Append('\n').Append(' ', 4 * level).Append(close);
    }
}
