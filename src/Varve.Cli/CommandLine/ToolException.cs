namespace Varve.Cli.CommandLine;

/// <summary>Ends a tool with a message and an exit status.</summary>
/// <param name="message">Printed after the program's name.</param>
/// <param name="exitCode">The process's status.</param>
internal sealed class ToolException(string message, int exitCode = 1) : Exception(message)
{
    public int ExitCode { get; } = exitCode;

    /// <summary>Lines printed under the message, without the program's name.</summary>
    public string? Hint { get; init; }

    /// <summary>Wrong usage: the reference's advice to try <c>--help</c>.</summary>
    public static ToolException Usage(string message)
        => new(message) { Hint = "Try 'qemu-img --help' for more information" };

    /// <summary>A failure of the block layer, with more said in front.</summary>
    /// <param name="prefix">Put in front of the failure's own message, with what separates them.</param>
    /// <param name="failure">What failed.</param>
    /// <param name="exitCode">The process's status.</param>
    public static ToolException From(string prefix, BlockException failure, int exitCode = 1)
        => new(prefix + failure.Message, exitCode) { Hint = failure.Hint };
}
