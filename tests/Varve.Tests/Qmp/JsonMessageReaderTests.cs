using System.Text;
using Varve.Qmp.Json;

namespace Varve.Tests.Qmp;

/// <summary>The stream parser: what it makes of good and bad input was observed of the reference's daemon, byte for byte.</summary>
public sealed class JsonMessageReaderTests
{
    public static TheoryData<string, string[]> Inputs => new()
    {
        { """{"a": 1}""", ["""{"a": 1}"""] },
        { """{"a":1}{"b":2}""", ["""{"a": 1}""", """{"b": 2}"""] },
        { "{'a':'it''s'}", ["""! JSON parse error, expected separator in dict"""] },
        { "{'a':'x\"y'}", ["""{"a": "x\"y"}"""] },
        { """{"a":"\u00e4\/\b\f\n\r\t\\\"\'"}""", ["""{"a": "\u00E4/\b\f\n\r\t\\\"'"}"""] },
        { """{"a":"\ud83d\ude00"}""", ["""{"a": "\uD83D\uDE00"}"""] },
        { "{\"a\":\"\u007f\"}", ["""{"a": "\u007F"}"""] },
        { """{"a":18446744073709551615}""", ["""{"a": 18446744073709551615}"""] },
        { """{"a":-0.5e+7}""", ["""{"a": -0.5e+7}"""] },
        { "[1,2] 3 \"x\" null ", ["[1, 2]", "3", "\"x\"", "null"] },
        { """{"a":}""", ["! JSON parse error, expecting value"] },
        { """{"a" 1}""", ["! JSON parse error, missing : in object pair"] },
        { """{1:2}""", ["! JSON parse error, key is not a string in object"] },
        { """{null:1}""", ["! JSON parse error, key is not a string in object"] },
        { """{tru:1}""", ["! JSON parse error, invalid keyword 'tru'"] },
        { """{"a":1,}""", ["! JSON parse error, expecting value"] },
        { """{"a":1 "b":2}""", ["! JSON parse error, expected separator in dict"] },
        { """{"a":1,"a":2}""", ["! JSON parse error, duplicate key"] },
        { "[1 2]", ["! JSON parse error, expected separator in list"] },
        { "[1,]", ["! JSON parse error, expecting value"] },
        { "{]", ["! JSON parse error, expecting value"] },
        { "]", ["! JSON parse error, expecting value"] },
        { """{"a":1]""", ["! JSON parse error, expected separator in dict"] },
        { """{"a":[1}]}""", ["! JSON parse error, expected separator in list", "! JSON parse error, expecting value"] },
        { "{}}", ["{}", "! JSON parse error, expecting value"] },
        { "[nul]", ["! JSON parse error, invalid keyword 'nul'"] },
        { "tru ", ["! JSON parse error, invalid keyword 'tru'"] },
        { "[01]", ["! JSON parse error, stray '01'", "! JSON parse error, expecting value"] },
        { "[1.]", ["! JSON parse error, stray '1.]'"] },
        { "[1.5e]", ["! JSON parse error, stray '1.5e]'"] },
        { "[1e+]", ["! JSON parse error, stray '1e+]'"] },
        { "[1.2.3]", ["! JSON parse error, stray '.'", "! JSON parse error, expecting value"] },
        { "[-x]", ["! JSON parse error, stray '-x'", "! JSON parse error, expecting value"] },
        { "[1a]", ["! JSON parse error, expected separator in list"] },
        { "[aBc]", ["! JSON parse error, stray 'B'", "! JSON parse error, expecting value"] },
        { "x%y", ["! JSON parse error, invalid keyword 'x'", "! JSON parse error, stray '%'"] },
        { "%d 8 \n5 ", ["! JSON parse error, stray '%'", "5"] },
        { "%\t6 \r7 ", ["! JSON parse error, stray '%'", "7"] },
        { "%\"}{}", ["! JSON parse error, stray '%'", "! JSON parse error, expecting value", "{}"] },
        { "%x\u0001y\n{}", ["! JSON parse error, stray '%'", "! JSON parse error, stray '\u0001'", "{}"] },
        { "[\"a\tb\"]", ["! JSON parse error, stray '\"a\t'", "! JSON parse error, expecting value"] },
        { "{\"a\"%:1}", ["! JSON parse error, stray '%'", "! JSON parse error, expecting value", "1", "! JSON parse error, expecting value"] },
        { """["\q"]""", ["! JSON parse error, invalid escape sequence in string"] },
        { """["\u12g4"]""", ["! JSON parse error, \\u12g4 is not a valid Unicode character"] },
        { """["\ud800x"]""", ["! JSON parse error, \\ud800 is not a valid Unicode character"] },
        { """["\uffff"]""", ["! JSON parse error, \\uffff is not a valid Unicode character"] },
        { new string('[', 1025) + "{}", ["! JSON nesting depth limit exceeded", "{}"] },
    };

    [Theory]
    [MemberData(nameof(Inputs))]
    public void Input_reads_the_same_however_it_is_cut(string input, string[] expected)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(input);
        Assert.Equal(expected, Read([bytes]));
        Assert.Equal(expected, Read(bytes.Select(b => new[] { b })));
        for (int cut = 1; cut < Math.Min(bytes.Length, 64); cut++) Assert.Equal(expected, Read([bytes[..cut], bytes[cut..]]));
    }

    [Theory]
    [InlineData(new byte[] { 0xFF }, "stray '\uFFFD'")]
    [InlineData(new byte[] { (byte)'"', 0xFE }, "stray '\"\uFFFD'")]
    [InlineData(new byte[] { (byte)'[', (byte)'"', 0xFD, (byte)'"', (byte)']' }, "invalid UTF-8 sequence in string")]
    [InlineData(new byte[] { (byte)'[', (byte)'"', 0xED, 0xA0, 0x80, (byte)'"', (byte)']' }, "invalid UTF-8 sequence in string")]
    [InlineData(new byte[] { (byte)'[', (byte)'"', 0xEF, 0xBF, 0xBF, (byte)'"', (byte)']' }, "invalid UTF-8 sequence in string")]
    [InlineData(new byte[] { 0 }, "stray ''")]
    public void Bytes_that_are_no_text_are_refused(byte[] input, string error)
        => Assert.Equal(["! JSON parse error, " + error], Read([input]));

    [Fact]
    public void A_message_is_complete_with_its_last_bracket_without_a_line_end()
        => Assert.Single(Read(["{\"execute\":\"quit\"}"u8.ToArray()]));

    [Fact]
    public void Numbers_keep_their_digits_when_they_are_echoed()
        => Assert.Equal(["[1.50, 1e400, -9223372036854775809]"], Read(["[1.50,1e400,-9223372036854775809]"u8.ToArray()]));

    private static List<string> Read(IEnumerable<byte[]> pieces)
    {
        var reader = new JsonMessageReader();
        var messages = new List<string>();
        foreach (byte[] piece in pieces)
        {
            messages.AddRange(reader.Feed(piece).Select(m => m.Error is { } error ? "! " + error : QmpJson.ToText(m.Value)));
        }

        return messages;
    }
}
