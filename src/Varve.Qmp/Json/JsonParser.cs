using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Varve.Qmp.Json;

/// <summary>Makes a JSON value of tokens, with the reference's error texts.</summary>
/// <remarks>The tokens are checked, written again as strict JSON, and read by the platform's parser: values behave as any
/// other <see cref="JsonNode"/> and numbers keep their digits.</remarks>
internal ref struct JsonParser
{
    private const int MaxDepth = 1100;   // beyond the reader's nesting limit

    private readonly Utf8JsonWriter _writer;
    private readonly ReadOnlySpan<JsonToken> _tokens;
    private int _next;

    private JsonParser(ReadOnlySpan<JsonToken> tokens, Utf8JsonWriter writer)
    {
        _tokens = tokens;
        _writer = writer;
    }

    /// <exception cref="QmpJsonException">The tokens make no value.</exception>
    public static JsonNode? Parse(List<JsonToken> tokens)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { MaxDepth = MaxDepth, SkipValidation = true }))
        {
            new JsonParser(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(tokens), writer).Value();
        }

        return JsonNode.Parse(buffer.WrittenSpan, documentOptions: new JsonDocumentOptions { MaxDepth = MaxDepth });
    }

    private void Value()
    {
        JsonToken token = Take();
        switch (token.Kind)
        {
            case JsonTokenKind.LeftBrace: Object(); break;
            case JsonTokenKind.LeftBracket: Array(); break;
            case JsonTokenKind.String: _writer.WriteStringValue(Unquote(token.Bytes)); break;
            case JsonTokenKind.Integer or JsonTokenKind.Float: _writer.WriteRawValue(token.Bytes, skipInputValidation: true); break;
            case JsonTokenKind.Keyword: Keyword(token.Bytes); break;
            default: throw Error("expecting value");
        }
    }

    private void Keyword(ReadOnlySpan<byte> word)
    {
        if (word.SequenceEqual("true"u8)) _writer.WriteBooleanValue(true);
        else if (word.SequenceEqual("false"u8)) _writer.WriteBooleanValue(false);
        else if (word.SequenceEqual("null"u8)) _writer.WriteNullValue();
        else throw Error($"invalid keyword '{Encoding.UTF8.GetString(word)}'");
    }

    private void Object()
    {
        _writer.WriteStartObject();
        var keys = new HashSet<string>(StringComparer.Ordinal);
        if (Peek() is JsonTokenKind.RightBrace)
        {
            Take();
        }
        else
        {
            Pair(keys);
            while (Take().Kind is var kind && kind != JsonTokenKind.RightBrace)
            {
                if (kind != JsonTokenKind.Comma) throw Error("expected separator in dict");
                Pair(keys);
            }
        }

        _writer.WriteEndObject();
    }

    private void Pair(HashSet<string> keys)
    {
        if (Peek() != JsonTokenKind.String)
        {
            Value();
            throw Error("key is not a string in object");
        }

        string name = Unquote(Take().Bytes);
        if (Take().Kind != JsonTokenKind.Colon) throw Error("missing : in object pair");
        if (!keys.Add(name))
        {
            Value();
            throw Error("duplicate key");
        }

        _writer.WritePropertyName(name);
        Value();
    }

    private void Array()
    {
        _writer.WriteStartArray();
        if (Peek() is JsonTokenKind.RightBracket)
        {
            Take();
        }
        else
        {
            Value();
            while (Take().Kind is var kind && kind != JsonTokenKind.RightBracket)
            {
                if (kind != JsonTokenKind.Comma) throw Error("expected separator in list");
                Value();
            }
        }

        _writer.WriteEndArray();
    }

    private readonly JsonTokenKind? Peek() => _next < _tokens.Length ? _tokens[_next].Kind : null;

    private JsonToken Take() => _next < _tokens.Length ? _tokens[_next++] : throw Error("premature EOI");

    /// <summary>The text of a string token: escapes resolved, UTF-8 checked.</summary>
    private static string Unquote(ReadOnlySpan<byte> token)
    {
        ReadOnlySpan<byte> rest = token[1..^1];
        var text = new StringBuilder(rest.Length);
        while (!rest.IsEmpty)
        {
            if (rest[0] != '\\')
            {
                rest = rest[DecodeUtf8(rest, text)..];
                continue;
            }

            char escape = (char)rest[1];
            switch (escape)
            {
                case '"' or '\'' or '\\' or '/': text.Append(escape); break;
                case 'b': text.Append('\b'); break;
                case 'f': text.Append('\f'); break;
                case 'n': text.Append('\n'); break;
                case 'r': text.Append('\r'); break;
                case 't': text.Append('\t'); break;
                case 'u':
                    rest = rest[DecodeUnicodeEscape(rest, text)..];
                    continue;
                default: throw Error("invalid escape sequence in string");
            }

            rest = rest[2..];
        }

        return text.ToString();
    }

    /// <summary>One character in UTF-8; U+0000 may come as C0 80. Returns the bytes it took.</summary>
    private static int DecodeUtf8(ReadOnlySpan<byte> rest, StringBuilder text)
    {
        if (rest is [0xC0, 0x80, ..])
        {
            text.Append('\0');
            return 2;
        }

        if (Rune.DecodeFromUtf8(rest, out Rune rune, out int length) != OperationStatus.Done || IsNoncharacter(rune.Value))
        {
            throw Error("invalid UTF-8 sequence in string");
        }

        text.Append(rune.ToString());
        return length;
    }

    /// <summary><c>\uXXXX</c>, or two of them that make a surrogate pair. Returns the bytes it took.</summary>
    private static int DecodeUnicodeEscape(ReadOnlySpan<byte> rest, StringBuilder text)
    {
        string quoted = Encoding.Latin1.GetString(rest[..Math.Min(rest.Length, 6)]);
        if (!TryHex(rest, out int high)) throw Error($"{quoted} is not a valid Unicode character");
        if (char.IsHighSurrogate((char)high) && rest.Length >= 8 && rest[6] == '\\' && rest[7] == 'u' && TryHex(rest[6..], out int low)
            && char.IsLowSurrogate((char)low))
        {
            int pair = char.ConvertToUtf32((char)high, (char)low);
            if (IsNoncharacter(pair)) throw Error($"{quoted} is not a valid Unicode character");
            text.Append((char)high).Append((char)low);
            return 12;
        }

        if (char.IsSurrogate((char)high) || IsNoncharacter(high)) throw Error($"{quoted} is not a valid Unicode character");
        text.Append((char)high);
        return 6;
    }

    private static bool TryHex(ReadOnlySpan<byte> escape, out int value)
    {
        value = 0;
        return escape.Length >= 6
            && int.TryParse(escape.Slice(2, 4), System.Globalization.NumberStyles.AllowHexSpecifier, System.Globalization.CultureInfo.InvariantCulture, out value);
    }

    private static bool IsNoncharacter(int codePoint) => codePoint is >= 0xFDD0 and <= 0xFDEF || (codePoint & 0xFFFE) == 0xFFFE;

    private static QmpJsonException Error(string what) => new("JSON parse error, " + what);
}
