using System.Globalization;
using Varve.Options;

namespace Varve.Cli.Io;

/// <summary>Numbers among a command's arguments.</summary>
internal static class IoNumbers
{
    /// <summary>Bytes one request may move: the most the reference lets through.</summary>
    public const long MaxRequest = (int.MaxValue / Align.SectorSize) * (long)Align.SectorSize;

    /// <summary>An offset or a length, with a suffix or without.</summary>
    public static long ParseSize(string text) => SizeText.TryParse(text, out long bytes) switch
    {
        SizeParse.Ok => bytes,
        SizeParse.OutOfRange => throw new IoRefusal($"Parsing error: argument too large -- {text}\n"),
        _ => throw new IoRefusal($"Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- {text}\n"),
    };

    /// <summary>A length that one request can have.</summary>
    public static int ParseLength(string text, string limitWord = "")
    {
        long length = ParseSize(text);
        if (length > MaxRequest) throw new IoRefusal($"length cannot exceed {MaxRequest}{limitWord}, given {text}\n");
        return (int)length;
    }

    /// <summary>The lengths of a vectored request, all together.</summary>
    public static int ParseVector(IEnumerable<string> lengths)
    {
        long total = 0;
        foreach (string text in lengths)
        {
            long length = ParseSize(text);
            if (length > MaxRequest) throw new IoRefusal($"Argument '{text}' exceeds maximum size {MaxRequest}\n");
            total += length;
            if (total > MaxRequest) throw new IoRefusal($"The total number of bytes exceed the maximum size {MaxRequest}\n");
        }

        return (int)total;
    }

    /// <summary>A byte to fill with or to look for: decimal, octal after <c>0</c>, hexadecimal after <c>0x</c>.</summary>
    public static byte ParsePattern(string text) => TryParseInteger(text) is >= 0 and <= byte.MaxValue and { } value
        ? (byte)value
        : throw new IoRefusal($"{text} is not a valid pattern byte\n");

    /// <summary>An integer as C writes it; null where it is none.</summary>
    public static long? TryParseInteger(string text)
    {
        ReadOnlySpan<char> digits = text.AsSpan().TrimStart();
        bool isNegative = digits.StartsWith("-");
        if (isNegative || digits.StartsWith("+")) digits = digits[1..];
        if (digits.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
        {
            return ulong.TryParse(digits[2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong hex) && hex <= long.MaxValue
                ? Signed((long)hex) : null;
        }

        if (digits.Length > 1 && digits[0] == '0') return ParseOctal(digits) is { } octal ? Signed(octal) : null;
        return long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long value) ? Signed(value) : null;

        long Signed(long magnitude) => isNegative ? -magnitude : magnitude;
    }

    private static long? ParseOctal(ReadOnlySpan<char> digits)
    {
        long value = 0;
        foreach (char digit in digits)
        {
            if (digit is < '0' or > '7' || value > long.MaxValue >> 3) return null;
            value = (value << 3) | (uint)(digit - '0');
        }

        return value;
    }
}
