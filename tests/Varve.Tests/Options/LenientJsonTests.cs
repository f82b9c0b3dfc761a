using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Tests.Options;

public sealed class LenientJsonTests
{
    [Theory]
    [InlineData("""{"a": [1, -2.5, true, null, "x\u00e9\n"]}""", """{"a":[1,-2.5,true,null,"x\u00E9\n"]}""")]
    [InlineData("""{'a': 'it\'s "b"'}""", """{"a":"it\u0027s \u0022b\u0022"}""")]
    [InlineData(" [ ] ", "[]")]
    [InlineData("18446744073709551615", "18446744073709551615")]
    public void Strings_may_be_in_single_quotes(string text, string expected) => Assert.Equal(expected, LenientJson.Parse(text)!.ToJsonString());

    [Theory]
    [InlineData("{\"driver\":\"null-co\"", "JSON parse error, premature EOI")]
    [InlineData("{\"driver\":\"null-co\", 7}", "JSON parse error, key is not a string in object")]
    [InlineData("{5:5}", "JSON parse error, key is not a string in object")]
    [InlineData("{bad}", "JSON parse error, invalid keyword 'bad'")]
    [InlineData("{'a':tru}", "JSON parse error, invalid keyword 'tru'")]
    [InlineData("{\"a\":\"b", "JSON parse error, stray '\"b'")]
    [InlineData("{\"a\" 5}", "JSON parse error, missing : in object pair")]
    [InlineData("{\"a\":5,}", "JSON parse error, expecting value")]
    [InlineData("[5,]", "JSON parse error, expecting value")]
    [InlineData("{\"a\":1,\"a\":2}", "JSON parse error, duplicate key")]
    [InlineData("{} x", "Expecting at most one JSON value")]
    [InlineData("", "Expecting a JSON value")]
    public void What_is_no_JSON_is_refused_in_the_references_words(string text, string message)
        => Assert.Equal(message, Assert.Throws<BlockException>(() => LenientJson.Parse(text)).Message);

    [Fact]
    public void Deep_nesting_is_an_error()
        => Assert.Throws<BlockException>(() => LenientJson.Parse(new string('[', 100_000)));

    [Fact]
    public void Output_has_the_references_order_and_spacing()
    {
        JsonNode node = LenientJson.Parse("{'driver':'raw','size':1048576,'offset':512,'file':{'filename':'/x\"','driver':'file'}}")!;
        Assert.Equal("""{"offset": 512, "driver": "raw", "size": 1048576, "file": {"driver": "file", "filename": "/x\""}}""", JsonText.Write(node));
    }
}
