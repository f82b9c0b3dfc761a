namespace Varve.Crypto.Luks;

/// <summary>Finds how many iterations of PBKDF2 take a given time on this machine.</summary>
internal static class IterationTiming
{
    /// <summary>Fewer than that are never used, however slow the machine: LUKS On-Disk Format, section 4.1.</summary>
    public const int Min = 1000;

    private const int FirstTry = 1 << 14, LastTry = 1 << 22;
    private static readonly TimeSpan s_longEnough = TimeSpan.FromMilliseconds(20);

    /// <summary>Measures, for some milliseconds.</summary>
    /// <param name="hash">Of PBKDF2.</param>
    /// <param name="keySize">Bytes it is to derive: twice as many digests take twice the time.</param>
    /// <param name="time">What it should take.</param>
    /// <param name="divisor">Take only that part of the iterations.</param>
    /// <param name="clock">Tells the time.</param>
    /// <exception cref="BlockException">The time is longer than headers may ask for.</exception>
    public static uint Measure(DigestAlgorithm hash, int keySize, TimeSpan time, int divisor, TimeProvider clock)
    {
        Span<byte> key = stackalloc byte[keySize], salt = stackalloc byte[LuksHeader.SaltSize];
        int iterations = FirstTry;
        TimeSpan taken;
        while (true)
        {
            long start = clock.GetTimestamp();
            hash.DeriveKey("password"u8, salt, iterations, key);
            taken = clock.GetElapsedTime(start);
            if (taken >= s_longEnough || iterations >= LastTry) break;
            iterations *= 2;
        }

        double wanted = taken <= TimeSpan.Zero ? Min : iterations * (time / taken) / divisor;
        return wanted <= LuksHeader.MaxIterations
            ? (uint)Math.Max(Min, wanted)
            : throw new BlockException(BlockErrorKind.TooLarge, $"PBKDF iterations {(ulong)wanted} larger than {LuksHeader.MaxIterations}");
    }
}
