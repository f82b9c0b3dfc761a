namespace Varve;

/// <summary>Sizes that read as in speech: <c>64.KiB</c> is 65536, a <see cref="long"/> of bytes.</summary>
internal static class ByteSizes
{
    extension(int count)
    {
        /// <summary><paramref name="count"/> x 2^10 bytes.</summary>
        public long KiB => (long)count << 10;

        /// <summary><paramref name="count"/> x 2^20 bytes.</summary>
        public long MiB => (long)count << 20;

        /// <summary><paramref name="count"/> x 2^30 bytes.</summary>
        public long GiB => (long)count << 30;

        /// <summary><paramref name="count"/> x 2^40 bytes.</summary>
        public long TiB => (long)count << 40;
    }
}

/// <summary>Rounding of offsets and lengths to a power of two.</summary>
internal static class Align
{
    /// <summary>Bytes of a sector; used only where a format or an API counts in it.</summary>
    public const int SectorSize = 512;

    /// <summary>The largest multiple of <paramref name="alignment"/> (a power of two) not above <paramref name="value"/>.</summary>
    public static long Down(long value, long alignment) => value & -alignment;

    /// <summary>The smallest multiple of <paramref name="alignment"/> (a power of two) not below <paramref name="value"/>.</summary>
    public static long Up(long value, long alignment) => (value + alignment - 1) & -alignment;

    /// <summary>Whether <paramref name="value"/> is a multiple of <paramref name="alignment"/> (a power of two).</summary>
    public static bool Is(long value, long alignment) => (value & (alignment - 1)) == 0;

    /// <summary>How many units of <paramref name="unit"/> bytes hold <paramref name="value"/> bytes.</summary>
    public static long Count(long value, long unit) => (value + unit - 1) / unit;
}
