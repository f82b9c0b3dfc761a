using System.Globalization;
using System.Text;

namespace Varve.Cli.Output;

/// <summary>One line of a terminal: <c>[########            ]  41%  1.2 GiB/s  0:12 left</c>.</summary>
internal sealed class ProgressBar
{
    private const int Width = 40;
    private int _longest;

    /// <summary>The line, with what moves the cursor back to its start.</summary>
    /// <param name="percent">0 to 100.</param>
    /// <param name="bytes">Done so far.</param>
    /// <param name="elapsed">Since the start.</param>
    public string Line(double percent, long bytes, TimeSpan elapsed)
    {
        int filled = (int)(percent * Width / 100);
        var line = new StringBuilder(2 * Width);
        line.Append('[').Append('#', filled).Append(' ', Width - filled).Append(']');
        line.Append(CultureInfo.InvariantCulture, $" {percent,3:0}%");
        if (bytes > 0 && elapsed > TimeSpan.Zero) line.Append("  ").Append(HumanSize.Of((long)(bytes / elapsed.TotalSeconds))).Append("/s");
        if (percent is > 0 and < 100) line.Append("  ").Append(Clock(elapsed * ((100 - percent) / percent))).Append(" left");
        else if (percent >= 100) line.Append("  ").Append(Clock(elapsed));

        int length = line.Length;
        if (length < _longest) line.Append(' ', _longest - length);   // what a longer line before left behind
        _longest = Math.Max(_longest, length);
        return line.Append('\r').ToString();
    }

    private static string Clock(TimeSpan time) => time.TotalHours >= 1
        ? string.Create(CultureInfo.InvariantCulture, $"{(long)time.TotalHours}:{time.Minutes:00}:{time.Seconds:00}")
        : string.Create(CultureInfo.InvariantCulture, $"{time.Minutes}:{time.Seconds:00}");
}
