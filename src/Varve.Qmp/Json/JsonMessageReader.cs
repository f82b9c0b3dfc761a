using System.Text.Json.Nodes;

namespace Varve.Qmp.Json;

/// <summary>Finds the messages in a stream of bytes: a message ends where its brackets balance, with or without a line end.</summary>
/// <remarks>Feed it the stream in any pieces. What it returns for a byte string does not depend on how it was cut.</remarks>
internal sealed class JsonMessageReader
{
    private const int MaxNesting = 1024;
    private const int MaxTokens = 2 << 20;

    private readonly JsonLexer _lexer = new();
    private readonly List<JsonToken> _tokens = [];
    private int _braces, _brackets;

    /// <summary>Takes the next bytes of the stream.</summary>
    /// <returns>The messages that became complete, and the errors met, in order.</returns>
    public IEnumerable<JsonMessage> Feed(ReadOnlyMemory<byte> bytes)
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            JsonToken? first = null, second = null;
            QmpJsonException? error = null;
            try
            {
                _lexer.Feed(bytes.Span[i], out first, out second);
            }
            catch (QmpJsonException e)
            {
                error = e;
            }

            if (first is { } one && Add(one) is { } message) yield return message;
            if (second is { } two && Add(two) is { } next) yield return next;
            if (error is null) continue;
            Reset();
            yield return new JsonMessage(null, error.Message);
        }
    }

    private JsonMessage? Add(JsonToken token)
    {
        _tokens.Add(token);
        switch (token.Kind)
        {
            case JsonTokenKind.LeftBrace: _braces++; break;
            case JsonTokenKind.RightBrace: _braces--; break;
            case JsonTokenKind.LeftBracket: _brackets++; break;
            case JsonTokenKind.RightBracket: _brackets--; break;
        }

        if (_braces + _brackets > MaxNesting) return Refuse("JSON nesting depth limit exceeded");
        if (_tokens.Count > MaxTokens) return Refuse("JSON token count limit exceeded");
        if ((_braces > 0 || _brackets > 0) && _braces >= 0 && _brackets >= 0) return null;
        try
        {
            return new JsonMessage(JsonParser.Parse(_tokens), null);
        }
        catch (QmpJsonException error)
        {
            return new JsonMessage(null, error.Message);
        }
        finally
        {
            Reset();
        }
    }

    private JsonMessage Refuse(string error)
    {
        Reset();
        return new JsonMessage(null, error);
    }

    private void Reset()
    {
        _tokens.Clear();
        _braces = _brackets = 0;
    }
}

/// <summary>A message, or the error that stood in its place.</summary>
/// <param name="Value">The message; null for JSON null and where there is an error.</param>
/// <param name="Error">The reference's text; null for a message.</param>
internal readonly record struct JsonMessage(JsonNode? Value, string? Error);
