namespace Varve.Cli.Output;

/// <summary>How progress is shown.</summary>
internal enum ProgressStyle
{
    /// <summary>One line for each SIGUSR1, nothing otherwise.</summary>
    OnRequest,

    /// <summary><c>-p</c>: the reference's percentages; on a terminal a bar.</summary>
    Percent,

    /// <summary><c>--progress=json</c>: an object a line, on standard error.</summary>
    Json,
}
