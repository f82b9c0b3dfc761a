using System.Globalization;

namespace Varve.Cli.Output;

/// <summary>Sizes for people, as <c>img info</c> prints them: <c>64 MiB</c>, <c>1.31 MiB</c>, <c>0.977 KiB</c>.</summary>
internal static class HumanSize
{
    private static readonly string[] s_units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    /// <summary>Three significant digits; the unit changes at 1000 of the smaller one.</summary>
    public static string Of(long bytes)
    {
        int unit = 0;
        double value = bytes;
        while (value >= 1000 && unit < s_units.Length - 1)
        {
            value /= 1024;
            unit++;
        }

        return $"{ThreeDigits(value)} {s_units[unit]}";
    }

    // printf's %0.3g for 0 <= value < 1024: rounding may carry into a fourth digit, which %g would write with an exponent.
    private static string ThreeDigits(double value)
    {
        if (value == 0) return "0";
        int magnitude = (int)Math.Floor(Math.Log10(value));
        int decimals = Math.Max(2 - magnitude, 0);
        double rounded = Math.Round(value, decimals, MidpointRounding.ToEven);
        if (rounded >= 1000) return string.Create(CultureInfo.InvariantCulture, $"{rounded / 1000:0.##}e+03");
        return rounded.ToString("0." + new string('#', decimals), CultureInfo.InvariantCulture);
    }
}
