using Varve.Options;

namespace Varve.Tests.Options;

public sealed class SizeTextTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("512", 512)]
    [InlineData("64k", 65536)]
    [InlineData("1.5K", 1536)]
    [InlineData("2b", 2)]
    [InlineData("1E", 1L << 60)]
    [InlineData("0x200", 512)]
    [InlineData("0xBEE", 0xbee)]
    [InlineData("0.5k", 512)]
    [InlineData("1.0000000001M", 1048576)]
    public void Sizes_have_suffixes_and_fractions(string text, long expected)
    {
        Assert.Equal(SizeParse.Ok, SizeText.TryParse(text, out long bytes));
        Assert.Equal(expected, bytes);
    }

    [Theory]
    [InlineData("")]
    [InlineData("1.5")]
    [InlineData("1e3")]
    [InlineData("1kb")]
    [InlineData("0x")]
    [InlineData("0x1g")]
    [InlineData("k")]
    [InlineData("1.5b")]
    public void What_is_no_size_is_malformed(string text) => Assert.Equal(SizeParse.Malformed, SizeText.TryParse(text, out long _));

    [Theory]
    [InlineData("-1")]
    [InlineData("8E")]
    [InlineData("99999999999999999999")]
    public void What_does_not_fit_is_out_of_range(string text) => Assert.Equal(SizeParse.OutOfRange, SizeText.TryParse(text, out long _));
}
