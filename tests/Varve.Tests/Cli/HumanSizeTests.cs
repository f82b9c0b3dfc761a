using Varve.Cli.Output;

namespace Varve.Tests.Cli;

public sealed class HumanSizeTests
{
    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(512, "512 B")]
    [InlineData(999, "999 B")]
    [InlineData(1000, "0.977 KiB")]
    [InlineData(1024, "1 KiB")]
    [InlineData(200704, "196 KiB")]
    [InlineData(1376256, "1.31 MiB")]
    [InlineData(67108864, "64 MiB")]
    [InlineData(1047527424, "999 MiB")]
    [InlineData(1048575999, "1e+03 MiB")]
    [InlineData(1048576000, "0.977 GiB")]
    [InlineData(1073741824, "1 GiB")]
    [InlineData(5497558138880, "5 TiB")]
    [InlineData(long.MaxValue, "8 EiB")]
    public void Sizes_have_three_digits_and_change_unit_at_a_thousand(long bytes, string text)
        => Assert.Equal(text, HumanSize.Of(bytes));
}
