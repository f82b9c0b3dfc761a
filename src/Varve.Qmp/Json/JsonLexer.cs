using System.Text;

namespace Varve.Qmp.Json;

/// <summary>Cuts a stream of bytes into tokens, one byte at a time, so that it does not matter how the stream was split.</summary>
/// <remarks>
/// The dialect is the reference's: JSON with strings in single quotes too. A byte that fits nowhere is an error that quotes the
/// token it broke; afterwards everything is skipped up to a line end or a structural character, so that one bad message does
/// not take the next one along.
/// </remarks>
internal sealed class JsonLexer
{
    private const int MaxTokenSize = 64 << 20;

    private readonly List<byte> _token = [];
    private State _state;
    private byte _quote;

    private enum State { Start, String, Escape, Sign, Zero, Digits, Point, Fraction, Exponent, ExponentSign, ExponentDigits, Keyword, Recovery }

    /// <summary>Takes one byte.</summary>
    /// <param name="value">The byte.</param>
    /// <param name="first">A token that ended, with this byte or just before it.</param>
    /// <param name="second">Another one: the byte itself, when it both ended a token and is one.</param>
    /// <exception cref="QmpJsonException">The byte fits nowhere; the lexer has begun to skip.</exception>
    public void Feed(byte value, out JsonToken? first, out JsonToken? second)
    {
        first = second = null;
        if (_token.Count >= MaxTokenSize)
        {
            _token.Clear();
            _state = State.Recovery;
            throw new QmpJsonException("JSON token size limit exceeded");
        }

        if (!Continues(value, out bool ends))
        {
            // The byte is not part of the token before it: that token is complete, and the byte is looked at afresh.
            first = Complete();
            second = StartWith(value);
        }
        else if (ends)
        {
            first = Complete();
        }
        else if (_state is State.Start or State.Recovery)
        {
            first = StartWith(value);
        }
    }

    /// <summary>Whether the byte belongs to the token under way (or none is under way); appends it if so.</summary>
    private bool Continues(byte value, out bool ends)
    {
        ends = false;
        bool isDigit = value is >= (byte)'0' and <= (byte)'9';
        switch (_state)
        {
            case State.Start or State.Recovery:
                return true;
            case State.String:
                if (value is < 0x20 or > 0xfd) Stray(value);
                _token.Add(value);
                if (value == '\\') _state = State.Escape;
                ends = value == _quote;
                return true;
            case State.Escape:
                if (value is < 0x20 or > 0xfd) Stray(value);
                return Append(value, State.String);
            case State.Sign:
                if (!isDigit) Stray(value);
                return Append(value, value == '0' ? State.Zero : State.Digits);
            case State.Zero when isDigit:
                Stray(value);
                return false;
            case State.Digits when isDigit:
                return Append(value, State.Digits);
            case (State.Zero or State.Digits) when value == '.':
                return Append(value, State.Point);
            case (State.Zero or State.Digits or State.Fraction) when value is (byte)'e' or (byte)'E':
                return Append(value, State.Exponent);
            case State.Point or State.Fraction when isDigit:
                return Append(value, State.Fraction);
            case State.Exponent when value is (byte)'+' or (byte)'-':
                return Append(value, State.ExponentSign);
            case State.Exponent or State.ExponentSign or State.ExponentDigits when isDigit:
                return Append(value, State.ExponentDigits);
            case State.Point or State.Exponent or State.ExponentSign:
                Stray(value);
                return false;
            case State.Keyword when value is >= (byte)'a' and <= (byte)'z':
                return Append(value, State.Keyword);
            default:
                return false;
        }
    }

    private bool Append(byte value, State next)
    {
        _token.Add(value);
        _state = next;
        return true;
    }

    private JsonToken Complete()
    {
        JsonTokenKind kind = _state switch
        {
            State.String => JsonTokenKind.String,
            State.Keyword => JsonTokenKind.Keyword,
            State.Zero or State.Digits => JsonTokenKind.Integer,
            _ => JsonTokenKind.Float,
        };
        var token = new JsonToken(kind, [.. _token]);
        _token.Clear();
        _state = State.Start;
        return token;
    }

    /// <summary>A byte with no token under way: structure is a token at once, everything else begins one.</summary>
    private JsonToken? StartWith(byte value)
    {
        JsonTokenKind? structural = value switch
        {
            (byte)'{' => JsonTokenKind.LeftBrace,
            (byte)'}' => JsonTokenKind.RightBrace,
            (byte)'[' => JsonTokenKind.LeftBracket,
            (byte)']' => JsonTokenKind.RightBracket,
            (byte)':' => JsonTokenKind.Colon,
            (byte)',' => JsonTokenKind.Comma,
            _ => null,
        };
        if (structural is { } kind)
        {
            _state = State.Start;
            return new JsonToken(kind, [value]);
        }

        if (_state == State.Recovery)
        {
            if (value is (byte)'\n' or (byte)'\r') _state = State.Start;
            else if (value is (< 0x20 and not (byte)'\t') or > 0xfd) Stray(value);
            return null;
        }

        switch (value)
        {
            case (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n': return null;
            case (byte)'"' or (byte)'\'':
                _quote = value;
                Append(value, State.String);
                return null;
            case (byte)'-': Append(value, State.Sign); return null;
            case (byte)'0': Append(value, State.Zero); return null;
            case >= (byte)'1' and <= (byte)'9': Append(value, State.Digits); return null;
            case >= (byte)'a' and <= (byte)'z': Append(value, State.Keyword); return null;
            default: Stray(value); return null;
        }
    }

    private void Stray(byte value)
    {
        _token.Add(value);
        // The reference quotes the token as a C string: a NUL ends it. Its own output shows bytes that are no UTF-8 as U+FFFD.
        string text = Encoding.UTF8.GetString(_token.TakeWhile(b => b != 0).ToArray());
        _token.Clear();
        _state = State.Recovery;
        throw new QmpJsonException($"JSON parse error, stray '{text}'");
    }
}
