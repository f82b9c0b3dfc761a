namespace Varve.Qmp.Json;

/// <summary>What a token of QMP's JSON is.</summary>
internal enum JsonTokenKind { LeftBrace, RightBrace, LeftBracket, RightBracket, Colon, Comma, Integer, Float, Keyword, String }

/// <summary>One token, as it came: strings with their quotes and escapes.</summary>
internal readonly record struct JsonToken(JsonTokenKind Kind, byte[] Bytes);

/// <summary>Input that is no JSON; the message is the reference's, ready for a GenericError reply.</summary>
internal sealed class QmpJsonException(string message) : FormatException(message);
