namespace Varve.Cli.Io;

/// <summary>Ends a command that was called wrongly.</summary>
/// <param name="text">For standard output, line end included.</param>
internal sealed class IoRefusal(string text) : Exception(text)
{
    /// <summary>For standard error, line end included; null for nothing.</summary>
    public string? ErrorText { get; init; }
}
