using System.Globalization;

namespace Varve.Cli.Io;

/// <summary>What is printed of a request that was done, and the numbers in it.</summary>
internal static class IoReport
{
    private static readonly string[] s_units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    /// <summary>The statistics of one request.</summary>
    /// <param name="verb"><c>read</c>, <c>wrote</c>, <c>discard</c>.</param>
    /// <param name="offset">Bytes.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="elapsed">How long it took.</param>
    /// <param name="forMachines">Comma separated, without words.</param>
    public static string Of(string verb, long offset, long length, TimeSpan elapsed, bool forMachines)
    {
        double bytesPerSecond = length / elapsed.TotalSeconds, operationsPerSecond = 1 / elapsed.TotalSeconds;
        return forMachines
            ? string.Create(CultureInfo.InvariantCulture, $"{length},1,{LongTime(elapsed)},{bytesPerSecond:0.000},{operationsPerSecond:0.000}\n")
            : string.Create(
                CultureInfo.InvariantCulture,
                $"{verb} {length}/{length} bytes at offset {offset}\n{Size(length)}, 1 ops; {Time(elapsed)} ({Size(bytesPerSecond)}/sec and {operationsPerSecond:0.0000} ops/sec)\n");
    }

    /// <summary>A size for people: <c>64 KiB</c>, <c>1.062 MiB</c>, <c>20 bytes</c>.</summary>
    public static string Size(double bytes)
    {
        if (bytes < 1024) return Trimmed(bytes, "0.000000") + " bytes";
        int unit = -1;
        do
        {
            bytes /= 1024;
            unit++;
        }
        while (bytes >= 1024 && unit < s_units.Length - 1);
        return $"{Trimmed(bytes, "0.000")} {s_units[unit]}";
    }

    private static string Trimmed(double value, string format)
    {
        string text = value.ToString(format, CultureInfo.InvariantCulture);
        string zeros = format[1..];
        return text.EndsWith(zeros, StringComparison.Ordinal) ? text[..^zeros.Length] : text;
    }

    private static string Time(TimeSpan elapsed)
        => elapsed.TotalSeconds < 1 ? string.Create(CultureInfo.InvariantCulture, $"00.{elapsed.Milliseconds / 10:00} sec") : LongTime(elapsed);

    private static string LongTime(TimeSpan elapsed) => string.Create(
        CultureInfo.InvariantCulture, $"{(long)elapsed.TotalHours}:{elapsed.Minutes:00}:{elapsed.Seconds:00}.{elapsed.Milliseconds / 10:00}");
}
