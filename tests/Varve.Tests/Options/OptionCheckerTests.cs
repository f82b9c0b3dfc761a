using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Tests.Options;

/// <summary>Texts as the reference's programs print them for the same input.</summary>
public sealed class OptionCheckerTests
{
    private static readonly EnumType s_mode = new("Mode", ["report", "stop"]);
    private static readonly ObjectType s_inner = new("Inner",
    [
        OptionMember.Required("filename", OptionType.Str),
        OptionMember.Optional("direct", OptionType.Bool),
        OptionMember.Optional("size", OptionType.Int),
    ]);

    private static readonly AlternateType s_ref = new("InnerRef", [("definition", s_inner), ("reference", OptionType.Str), ("null", OptionType.Null)]);
    private static readonly ObjectType s_type = new("Sample",
        [
            OptionMember.Required("driver", new EnumType("Driver", ["a", "b"])),
            OptionMember.Optional("on-error", s_mode),
            OptionMember.Optional("speed", OptionType.Int),
            OptionMember.Optional("bits", OptionType.Int32),
            OptionMember.Optional("count", OptionType.UInt64),
            OptionMember.Optional("length", OptionType.Size),
            OptionMember.Optional("ratio", OptionType.Number),
            OptionMember.Optional("inner", s_inner),
            OptionMember.Optional("child", s_ref),
            OptionMember.Optional("list", s_inner.List),
            OptionMember.Optional("words", s_mode.List),
        ],
        Tag: "driver",
        Variants: new Dictionary<string, ObjectType> { ["b"] = new("B", [OptionMember.Required("extra", OptionType.Str)]) });

    [Theory]
    [InlineData("{}", "Parameter 'driver' is missing")]
    [InlineData("{'driver':'c'}", "Parameter 'driver' does not accept value 'c'")]
    [InlineData("{'driver':5}", "Invalid parameter type for 'driver', expected: string")]
    [InlineData("{'driver':'a','foo':1}", "Parameter 'foo' is unexpected")]
    [InlineData("{'driver':'a','extra':'x'}", "Parameter 'extra' is unexpected")]
    [InlineData("{'driver':'b'}", "Parameter 'extra' is missing")]
    [InlineData("{'driver':'a','on-error':'foo'}", "Parameter 'on-error' does not accept value 'foo'")]
    [InlineData("{'driver':'a','inner':{}}", "Parameter 'inner.filename' is missing")]
    [InlineData("{'driver':'a','inner':{'filename':1}}", "Invalid parameter type for 'inner.filename', expected: string")]
    [InlineData("{'driver':'a','inner':{'filename':'x','direct':5}}", "Invalid parameter type for 'inner.direct', expected: boolean")]
    [InlineData("{'driver':'a','inner':{'filename':'x','y':5}}", "Parameter 'inner.y' is unexpected")]
    [InlineData("{'driver':'a','inner':5}", "Invalid parameter type for 'inner', expected: object")]
    [InlineData("{'driver':'a','child':5}", "Invalid parameter type for 'child', expected: InnerRef")]
    [InlineData("{'driver':'a','list':5}", "Invalid parameter type for 'list', expected: array")]
    [InlineData("{'driver':'a','list':[{'filename':'x','y':1}]}", "Parameter 'list[0].y' is unexpected")]
    [InlineData("{'driver':'a','words':['foo']}", "Parameter 'null' does not accept value 'foo'")]
    [InlineData("{'driver':'a','speed':'4'}", "Invalid parameter type for 'speed', expected: integer")]
    [InlineData("{'driver':'a','speed':1.5}", "Invalid parameter type for 'speed', expected: integer")]
    [InlineData("{'driver':'a','speed':9223372036854775808}", "Invalid parameter type for 'speed', expected: integer")]
    [InlineData("{'driver':'a','bits':99999999999}", "Parameter 'bits' expects int32_t")]
    [InlineData("{'driver':'a','ratio':'x'}", "Invalid parameter type for 'ratio', expected: number")]
    public void JSON_that_does_not_fit_is_refused_in_the_references_words(string json, string message)
    {
        var e = Assert.Throws<BlockException>(() => OptionChecker.Check(s_type, (JsonObject)LenientJson.Parse(json)!));
        Assert.Equal(message, e.Message);
        Assert.Equal(BlockErrorKind.Invalid, e.Kind);
    }

    [Theory]
    [InlineData("driver=a,speed=zz", "Parameter 'speed' expects integer")]
    [InlineData("driver=a,speed=1.5k", "Parameter 'speed' expects integer")]
    [InlineData("driver=a,length=zz", "Parameter 'length' expects a size value")]
    [InlineData("driver=a,inner.filename=x,inner.direct=7", "Parameter 'inner.direct' expects 'on' or 'off'")]
    [InlineData("driver=a,inner=7", "Invalid parameter type for 'inner', expected: object")]
    [InlineData("driver=a,list=none", "Invalid parameter type for 'list', expected: array")]
    [InlineData("driver=a,list.0.filename=x,list.0.y=1", "Parameter 'list.0.y' is unexpected")]
    [InlineData("driver=a,on-error=foo", "Parameter 'on-error' does not accept value 'foo'")]
    [InlineData("foo", "Parameter 'driver' does not accept value 'foo'")]
    public void Option_strings_that_do_not_fit_are_refused_in_the_references_words(string text, string message)
        => Assert.Equal(message, Assert.Throws<BlockException>(() => OptionChecker.Parse(s_type, text, impliedKey: "driver")).Message);

    [Fact]
    public void Option_strings_get_the_types_their_options_declare()
    {
        JsonObject checkedOptions = OptionChecker.Parse(
            s_type, "a,speed=-4,length=1.5k,inner.direct=yes,inner.filename=a,,b,list.1.filename=y,list.0.filename=x,child=top,count=0x10", "driver");
        Assert.Equal(
            """{"driver":"a","speed":-4,"count":16,"length":1536,"inner":{"filename":"a,b","direct":true},"child":"top","list":[{"filename":"x"},{"filename":"y"}]}""",
            checkedOptions.ToJsonString());
    }

    [Theory]
    [InlineData("{'driver':'a','child':null}", """{"driver":"a","child":null}""")]
    [InlineData("{'driver':'a','child':{'filename':'x'}}", """{"driver":"a","child":{"filename":"x"}}""")]
    [InlineData("{'driver':'a','count':18446744073709551615}", """{"driver":"a","count":18446744073709551615}""")]
    [InlineData("{'extra':'e','driver':'b'}", """{"driver":"b","extra":"e"}""")]
    public void What_fits_comes_out_typed_and_in_order_of_declaration(string json, string expected)
        => Assert.Equal(expected, OptionChecker.Check(s_type, (JsonObject)LenientJson.Parse(json)!).ToJsonString());

    [Fact]
    public void The_drivers_own_options_are_part_of_the_schema_of_node_options()
    {
        JsonObject options = OptionChecker.Parse(BlockdevSchema.Options, "driver=raw,node-name=r,offset=512,file.driver=null-co,file.size=1048576");
        Assert.Equal(1048576, (long)options["file"]!["size"]!);
        var e = Assert.Throws<BlockException>(() => OptionChecker.Parse(BlockdevSchema.Options, "driver=raw,node-name=r,file.driver=null-co,file.foo=1"));
        Assert.Equal("Parameter 'file.foo' is unexpected", e.Message);
    }
}
