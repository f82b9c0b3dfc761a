using System.Text.Json.Nodes;

namespace Varve.Options;

/// <summary>The older, forgiving option strings: <c>--image-opts</c>, <c>-o</c>, <c>-drive</c>.</summary>
/// <remarks>
/// As <see cref="Keyval"/>, but a key may repeat (the last wins), and a key without a value means <c>on</c>, or <c>off</c>
/// when it begins with <c>no</c>. Values stay text; whoever takes the option types it.
/// </remarks>
internal static class OptionString
{
    /// <summary>Reads an option string into its pairs, in order.</summary>
    /// <param name="text">Comma separated.</param>
    /// <param name="impliedKey">The key of a first value without one.</param>
    /// <param name="warn">Told about each short-form boolean, which is deprecated.</param>
    public static IReadOnlyList<(string Key, string Value)> ParsePairs(string text, string? impliedKey = null, Action<string>? warn = null)
    {
        var pairs = new List<(string, string)>();
        int position = 0;
        for (bool isFirst = true; position < text.Length; isFirst = false)
        {
            int keyEnd = text.AsSpan(position).IndexOfAny('=', ',');
            keyEnd = keyEnd < 0 ? text.Length : position + keyEnd;
            bool hasValue = keyEnd < text.Length && text[keyEnd] == '=';
            if (hasValue)
            {
                string key = text[position..keyEnd];
                position = keyEnd + 1;
                pairs.Add((key, Keyval.ReadValue(text, ref position)));
            }
            else if (isFirst && impliedKey is not null)
            {
                pairs.Add((impliedKey, Keyval.ReadValue(text, ref position)));
            }
            else
            {
                pairs.Add(ShortForm(Keyval.ReadValue(text, ref position), warn));
            }
        }

        return pairs;
    }

    /// <summary>Reads an option string whose dotted keys nest.</summary>
    public static JsonObject Parse(string text, string? impliedKey = null, Action<string>? warn = null)
    {
        var flat = new JsonObject();
        foreach ((string key, string value) in ParsePairs(text, impliedKey, warn)) flat[key] = value;
        return DottedKeys.Nest(flat);
    }

    private static (string Key, string Value) ShortForm(string word, Action<string>? warn)
    {
        bool isNegated = word.StartsWith("no", StringComparison.Ordinal) && word.Length > 2;
        (string key, string value) = isNegated ? (word[2..], "off") : (word, "on");
        warn?.Invoke($"short-form boolean option '{word}' deprecated\nPlease use {key}={value} instead");
        return (key, value);
    }
}
