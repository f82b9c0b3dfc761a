using Varve.Options;

namespace Varve.Tests.Options;

public sealed class KeyvalTests
{
    [Theory]
    [InlineData("a=b", """{"a":"b"}""")]
    [InlineData("a=b,a=c", """{"a":"c"}""")]
    [InlineData("a=x,,y,b=", """{"a":"x,y","b":""}""")]
    [InlineData("a.b=1,a.c=2,d=3", """{"a":{"b":"1","c":"2"},"d":"3"}""")]
    [InlineData("l.1=b,l.0=a", """{"l":["a","b"]}""")]
    [InlineData("l.0.x=b=c", """{"l":[{"x":"b=c"}]}""")]
    [InlineData("", "{}")]
    public void Keys_nest_and_lists_are_ordered(string text, string expected) => Assert.Equal(expected, Keyval.Parse(text).ToJsonString());

    [Fact]
    public void The_first_value_may_leave_its_key_out()
        => Assert.Equal("""{"driver":"file","x":"1"}""", Keyval.Parse("file,x=1", "driver").ToJsonString());

    [Theory]
    [InlineData("a=1,read-only", "Expected '=' after parameter 'read-only'")]
    [InlineData("a..b=5", "Invalid parameter 'a..b'")]
    [InlineData("=5", "Invalid parameter ''")]
    [InlineData(",a=b", "Invalid parameter ''")]
    [InlineData("a=1,a.b=2", "Parameters 'a.*' used inconsistently")]
    [InlineData("a.b=2,a=1", "Parameters 'a.*' used inconsistently")]
    [InlineData("x.0=1,x.a=2", "Parameters 'x.*' used inconsistently")]
    [InlineData("c.0=a,c.2=b", "Parameter 'c.1' missing")]
    [InlineData("c.1=a", "Parameter 'c.0' missing")]
    public void Malformed_strings_are_refused_in_the_references_words(string text, string message)
        => Assert.Equal(message, Assert.Throws<BlockException>(() => Keyval.Parse(text)).Message);

    [Fact]
    public void Older_option_strings_take_words_alone_as_booleans_and_say_that_it_is_deprecated()
    {
        var warnings = new List<string>();
        Assert.Equal(
            """{"file":{"filename":"a,b"},"read-only":"on","lazy":"off"}""",
            OptionString.Parse("file.filename=a,,b,read-only,nolazy", "file", warnings.Add).ToJsonString());
        Assert.Equal("short-form boolean option 'read-only' deprecated\nPlease use read-only=on instead", warnings[0]);
        Assert.Equal(2, warnings.Count);
    }

    [Fact]
    public void Dotted_and_nested_keys_may_be_mixed()
    {
        var options = (System.Text.Json.Nodes.JsonObject)LenientJson.Parse("{'file.driver':'file','file':{'filename':'x','a.b':1},'c.0':1,'c.1':2}")!;
        Assert.Equal("""{"file":{"driver":"file","filename":"x","a":{"b":1}},"c":[1,2]}""", DottedKeys.Nest(options).ToJsonString());
    }
}
