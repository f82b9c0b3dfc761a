namespace Varve.Cli.Output;

/// <summary>How progress is shown.</summary>
internal enum ProgressStyle
{
    /// <summary>One line for each SIGUSR1, nothing otherwise.</summary>
    OnRequest,

    /// <summary><c>-p</c>: the reference's percentages; on a terminal a bar.</summary>
    Percent,

    /// <summary><c>--progress=bar</c>: a bar on standard error.</summary>
    Bar,

    /// <summary><c>--progress=json</c>: an object a line, on standard error.</summary>
    Json,

    /// <summary><c>--progress=none</c>: nothing, whatever else is asked for.</summary>
    None,
}
