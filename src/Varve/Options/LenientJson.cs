using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace Varve.Options;

/// <summary>JSON as the reference reads it: strings may be in single quotes, members may not repeat, and errors read the same.</summary>
/// <remarks>
/// Integers become <see cref="long"/>, or <see cref="ulong"/> beyond it; every other number a <see cref="double"/>. Input is
/// untrusted (a file name inside an image may be JSON), so depth is limited.
/// </remarks>
internal ref struct LenientJson
{
    private const int MaxDepth = 1024;
    private readonly ReadOnlySpan<char> _text;
    private int _position;
    private int _depth;

    private LenientJson(ReadOnlySpan<char> text) => _text = text;

    /// <summary>Reads one value and nothing after it.</summary>
    /// <returns>The value; null for JSON's <c>null</c>.</returns>
    /// <exception cref="BlockException"><see cref="BlockErrorKind.Invalid"/>: not JSON.</exception>
    public static JsonNode? Parse(ReadOnlySpan<char> text)
    {
        var reader = new LenientJson(text);
        reader.SkipSpace();
        if (reader.AtEnd) throw Invalid("Expecting a JSON value");
        JsonNode? value = reader.ReadValue();
        reader.SkipSpace();
        return reader.AtEnd ? value : throw Invalid("Expecting at most one JSON value");
    }

    private readonly bool AtEnd => _position == _text.Length;

    private readonly char Current => _text[_position];

    private JsonNode? ReadValue()
    {
        SkipSpace();
        if (AtEnd) throw Error("premature EOI");
        switch (Current)
        {
            case '{': return ReadObject();
            case '[': return ReadArray();
            case '"' or '\'': return JsonValue.Create(ReadString());
            case '-' or (>= '0' and <= '9'): return ReadNumber();
            case >= 'a' and <= 'z': return ReadKeyword();
            case '}' or ']' or ',' or ':': throw Error("expecting value");
            default: throw Error($"stray '{Current}'");
        }
    }

    private JsonObject ReadObject()
    {
        Descend();
        var result = new JsonObject();
        if (!TrySkip('}'))
        {
            do
            {
                SkipSpace();
                if (AtEnd) throw Error("premature EOI");
                JsonNode? keyNode = ReadKey();
                string key = keyNode is JsonValue value && value.TryGetValue(out string? text) ? text : throw Error("key is not a string in object");
                if (!TrySkip(':')) throw Error("missing : in object pair");
                JsonNode? member = ReadValue();
                if (!result.TryAdd(key, member)) throw Error("duplicate key");
            }
            while (TrySkip(','));
            if (!TrySkip('}')) throw Error("expected separator in dict");
        }

        _depth--;
        return result;
    }

    private JsonNode? ReadKey() => Current is '{' or '[' ? throw Error("key is not a string in object") : ReadValue();

    private JsonArray ReadArray()
    {
        Descend();
        var result = new JsonArray();
        if (!TrySkip(']'))
        {
            do result.Add(ReadValue());
            while (TrySkip(','));
            if (!TrySkip(']')) throw Error("expected separator in list");
        }

        _depth--;
        return result;
    }

    private void Descend()
    {
        _position++;
        if (++_depth > MaxDepth) throw Invalid("JSON nesting depth limit exceeded");
    }

    private string ReadString()
    {
        int start = _position;
        char quote = _text[_position++];
        var result = new StringBuilder();
        while (!AtEnd)
        {
            char c = _text[_position++];
            if (c == quote) return result.ToString();
            if (c < ' ') break;
            result.Append(c == '\\' ? ReadEscape() : c);
        }

        throw Error($"stray '{_text[start.._position]}'");
    }

    private char ReadEscape()
    {
        if (AtEnd) throw Error("premature EOI");
        char c = _text[_position++];
        switch (c)
        {
            case '"' or '\'' or '\\' or '/': return c;
            case 'b': return '\b';
            case 'f': return '\f';
            case 'n': return '\n';
            case 'r': return '\r';
            case 't': return '\t';
            case 'u':
                ReadOnlySpan<char> digits = _text.Slice(_position, Math.Min(4, _text.Length - _position));
                if (digits.Length < 4 || !ushort.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ushort code) || code == 0)
                {
                    throw Error($"\\u{digits} is not a valid Unicode character");
                }

                _position += 4;
                return (char)code;
            default: throw Error($"invalid escape sequence '\\{c}'");
        }
    }

    private JsonValue ReadNumber()
    {
        int start = _position;
        if (Current == '-') _position++;
        int first = _position;
        SkipDigits();
        if (_position == first || (_text[first] == '0' && _position > first + 1)) throw Stray(start);
        bool isInteger = true;
        if (!AtEnd && Current == '.')
        {
            isInteger = false;
            _position++;
            if (SkipDigits() == 0) throw Stray(start);
        }

        if (!AtEnd && Current is 'e' or 'E')
        {
            isInteger = false;
            _position++;
            if (!AtEnd && Current is '+' or '-') _position++;
            if (SkipDigits() == 0) throw Stray(start);
        }

        ReadOnlySpan<char> text = _text[start.._position];
        if (isInteger && long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long integer)) return JsonValue.Create(integer);
        if (isInteger && ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong unsigned)) return JsonValue.Create(unsigned);
        double number = double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture);
        return double.IsFinite(number) ? JsonValue.Create(number) : throw Stray(start);
    }

    private JsonValue? ReadKeyword()
    {
        int start = _position;
        while (!AtEnd && Current is >= 'a' and <= 'z') _position++;
        ReadOnlySpan<char> word = _text[start.._position];
        return word switch
        {
            "true" => JsonValue.Create(true),
            "false" => JsonValue.Create(false),
            "null" => null,
            _ => throw Error($"invalid keyword '{word}'"),
        };
    }

    private int SkipDigits()
    {
        int start = _position;
        while (!AtEnd && char.IsAsciiDigit(Current)) _position++;
        return _position - start;
    }

    private bool TrySkip(char c)
    {
        SkipSpace();
        if (AtEnd) throw Error("premature EOI");
        if (Current != c) return false;
        _position++;
        return true;
    }

    private void SkipSpace()
    {
        while (!AtEnd && Current is ' ' or '\t' or '\r' or '\n') _position++;
    }

    private readonly BlockException Stray(int start) => Error($"stray '{_text[start..Math.Min(_position + 1, _text.Length)]}'");

    private static BlockException Error(string what) => Invalid($"JSON parse error, {what}");

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);
}
