using Varve.Cli.Output;
using Varve.Options;

namespace Varve.Cli.CommandLine;

/// <summary>Numbers with suffixes among a tool's arguments.</summary>
internal static class SizeArgument
{
    /// <summary>Reads a number of bytes.</summary>
    /// <param name="console">Where the first of two error lines goes.</param>
    /// <param name="what">How errors call it: <c>image size</c>.</param>
    /// <param name="text">As given.</param>
    /// <param name="min">The smallest accepted.</param>
    /// <param name="max">The largest accepted.</param>
    /// <exception cref="ToolException">Not a size, or out of range.</exception>
    public static long Parse(ToolConsole console, string what, string text, long min = 0, long max = long.MaxValue)
    {
        SizeParse result = SizeText.TryParse(text, out long bytes);
        if (result == SizeParse.Malformed)
        {
            console.ReportError($"Invalid {what} specified. You may use k, M, G, T, P or E suffixes for");
            throw new ToolException("kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
        }

        if (result == SizeParse.OutOfRange || bytes < min || bytes > max)
        {
            throw new ToolException($"Invalid {what} specified. Must be between {min} and {max}.");
        }

        return bytes;
    }
}
