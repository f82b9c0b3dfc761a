namespace Varve.Tests;

public sealed class ByteSizesTests
{
    [Fact]
    public void Sizes_are_powers_of_1024()
    {
        Assert.Equal(65536, 64.KiB);
        Assert.Equal(1L << 40, 1.TiB);
    }
}
