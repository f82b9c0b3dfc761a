using System.Globalization;

namespace Varve.Options;

/// <summary>How a size in text was understood.</summary>
internal enum SizeParse
{
    Ok,

    /// <summary>Not a size.</summary>
    Malformed,

    /// <summary>A size beyond what the caller's integer holds, or a negative one.</summary>
    OutOfRange,
}

/// <summary>Sizes as every tool accepts them: <c>64k</c>, <c>1.5G</c>, <c>0x200</c>, <c>512</c>.</summary>
/// <remarks>
/// Digits, an optional fraction (other than 0 only before a suffix that scales), an optional suffix letter <c>b k m g t p e</c> in either
/// case; or hexadecimal with neither. No exponents: <c>1E</c> is an exabyte.
/// </remarks>
internal static class SizeText
{
    private const string Suffixes = "bkmgtpe";

    /// <summary>Reads a size below 2^63, as the tools limit it.</summary>
    public static SizeParse TryParse(ReadOnlySpan<char> text, out long bytes)
    {
        SizeParse result = TryParse(text, out ulong wide);
        bytes = (long)wide;
        return result == SizeParse.Ok && wide > long.MaxValue ? SizeParse.OutOfRange : result;
    }

    /// <summary>Reads a size below 2^64.</summary>
    public static SizeParse TryParse(ReadOnlySpan<char> text, out ulong bytes) => TryParse(text, defaultSuffix: 'b', out bytes);

    /// <summary>Reads a size; without a suffix it is in units of <paramref name="defaultSuffix"/>.</summary>
    public static SizeParse TryParse(ReadOnlySpan<char> text, char defaultSuffix, out ulong bytes)
    {
        bytes = 0;
        text = text.TrimStart(" \t\n\v\f\r");
        if (text.StartsWith("-")) return text.Length > 1 && CountDigits(text[1..]) == text.Length - 1 ? SizeParse.OutOfRange : SizeParse.Malformed;
        if (text.StartsWith("+")) text = text[1..];
        if (text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)) return ParseHexadecimal(text[2..], out bytes);

        int digits = CountDigits(text);
        if (digits == 0) return SizeParse.Malformed;
        ReadOnlySpan<char> whole = text[..digits], rest = text[digits..], fraction = default;
        if (rest.StartsWith("."))
        {
            fraction = rest.Slice(1, CountDigits(rest[1..]));
            rest = rest[(1 + fraction.Length)..];
        }

        if (rest.Length > 1) return SizeParse.Malformed;
        char suffix = rest.IsEmpty ? defaultSuffix : char.ToLowerInvariant(rest[0]);
        int power = Suffixes.IndexOf(suffix, StringComparison.Ordinal);
        if (power < 0 || (power == 0 && fraction.ContainsAnyExcept('0'))) return SizeParse.Malformed;
        return Scale(whole, fraction, power * 10, out bytes);
    }

    /// <summary>Reads a size option; what it throws is what the option parser of the command line says.</summary>
    public static long ParseOption(string name, string text)
    {
        ulong bytes = ParseWideOption(name, text);
        return bytes <= long.MaxValue ? (long)bytes : throw OutOfRange(name, text);
    }

    /// <summary>Reads a size option that may take all of 64 bits.</summary>
    public static ulong ParseWideOption(string name, string text)
        => TryParse(text, out ulong bytes) switch
        {
            SizeParse.Ok => bytes,
            SizeParse.OutOfRange => throw OutOfRange(name, text),
            _ => throw new BlockException(BlockErrorKind.Invalid, $"Parameter '{name}' expects a non-negative number below 2^64")
            {
                Hint = "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.",
            },
        };

    private static BlockException OutOfRange(string name, string text)
        => new(BlockErrorKind.Invalid, $"Value '{text}' is out of range for parameter '{name}'");

    private static SizeParse ParseHexadecimal(ReadOnlySpan<char> digits, out ulong bytes)
    {
        bytes = 0;
        if (digits.IsEmpty || !IsHexadecimal(digits)) return SizeParse.Malformed;
        return ulong.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out bytes) ? SizeParse.Ok : SizeParse.OutOfRange;
    }

    private static SizeParse Scale(ReadOnlySpan<char> whole, ReadOnlySpan<char> fraction, int shift, out ulong bytes)
    {
        bytes = 0;
        if (!ulong.TryParse(whole, NumberStyles.None, CultureInfo.InvariantCulture, out ulong units)) return SizeParse.OutOfRange;
        UInt128 total = (UInt128)units << shift;
        if (!fraction.IsEmpty)
        {
            // The fraction as a part of 10^19 at most: digits beyond that are below a byte for every suffix.
            ReadOnlySpan<char> significant = fraction.Length > 19 ? fraction[..19] : fraction;
            UInt128 numerator = ulong.Parse(significant, NumberStyles.None, CultureInfo.InvariantCulture), denominator = 1;
            for (int i = 0; i < significant.Length; i++) denominator *= 10;
            total += ((numerator << shift) + denominator / 2) / denominator;   // halves round up
        }

        if (total > ulong.MaxValue) return SizeParse.OutOfRange;
        bytes = (ulong)total;
        return SizeParse.Ok;
    }

    private static bool IsHexadecimal(ReadOnlySpan<char> digits)
    {
        foreach (char digit in digits)
        {
            if (!char.IsAsciiHexDigit(digit)) return false;
        }

        return true;
    }

    private static int CountDigits(ReadOnlySpan<char> text)
    {
        int end = text.IndexOfAnyExceptInRange('0', '9');
        return end < 0 ? text.Length : end;
    }
}
