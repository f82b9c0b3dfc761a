using System.Globalization;
using System.Text;

namespace Varve.Cli.Io;

/// <summary>Bytes in rows of sixteen, with their offset before and their characters behind.</summary>
internal static class HexDump
{
    private const int RowSize = 16;

    /// <summary>The rows.</summary>
    /// <param name="data">What was read.</param>
    /// <param name="offset">Where it was read.</param>
    public static string Of(ReadOnlySpan<byte> data, long offset)
    {
        var text = new StringBuilder(data.Length * 5);
        for (int start = 0; start < data.Length; start += RowSize)
        {
            ReadOnlySpan<byte> row = data.Slice(start, Math.Min(RowSize, data.Length - start));
            text.Append(CultureInfo.InvariantCulture, $"{offset + start:x8}:  ");
            foreach (byte value in row) text.Append(CultureInfo.InvariantCulture, $"{value:x2} ");
            text.Append(' ');
            foreach (byte value in row) text.Append(value is >= 0x20 and < 0x7f ? (char)value : '.');
            text.Append('\n');
        }

        return text.ToString();
    }
}
