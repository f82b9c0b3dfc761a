using System.Text;
using Varve.Graph;

namespace Varve.Cli.Output;

/// <summary>Where a tool prints, and under which name. Tests give it writers of their own.</summary>
/// <param name="programName">In front of every error.</param>
/// <param name="output">Standard output; flushed before anything goes to <paramref name="error"/>, so that order is kept on a shared terminal or pipe.</param>
/// <param name="error">Standard error.</param>
internal sealed class ToolConsole(string programName, TextWriter output, TextWriter error)
{
    private static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false);

    public string ProgramName { get; } = programName;

    public TextWriter Out { get; } = output;

    /// <summary>Whether what was printed before an error also appears before it where both go to one place.</summary>
    public bool KeepsOrder { get; init; } = true;

    /// <summary>Whether a person may be watching standard output.</summary>
    public bool IsTerminal { get; init; }

    /// <summary>The process's own streams, without the machinery of <see cref="Console"/>'s writers, which costs start-up time.</summary>
    public static ToolConsole OfProcess(string programName, bool keepsOrder = true) => new(
        programName,
        new StreamWriter(Console.OpenStandardOutput(), s_utf8, bufferSize: 4096) { NewLine = "\n" },
        new StreamWriter(Console.OpenStandardError(), s_utf8, bufferSize: 512) { NewLine = "\n", AutoFlush = true })
    {
        KeepsOrder = keepsOrder,
        IsTerminal = !Console.IsOutputRedirected,
    };

    /// <summary><c>PROGRAM: message</c>, so for each line of it, then the hint's lines as they are.</summary>
    public void ReportError(string message, string? hint = null)
    {
        string text = $"{ProgramName}: {message.Replace("\n", $"\n{ProgramName}: ", StringComparison.Ordinal)}\n";
        if (hint is not null) text += hint + "\n";
        WriteError(text);
    }

    /// <summary><c>PROGRAM: warning: message</c>.</summary>
    /// <param name="message">The text.</param>
    /// <param name="option">The option it is about, where a program says so.</param>
    public void Warn(string message, string? option = null)
        => WriteError(option is null ? $"{ProgramName}: warning: {message}\n" : $"{ProgramName}: {option}: warning: {message}\n");

    /// <summary>What formats find wrong in images, and repair when they open them, goes to standard error as it is found.</summary>
    public void ShowFindings(BlockGraph graph)
    {
        graph.ImageCorrupted += corruption => WriteError(corruption.Text + "\n");
        graph.NoticeGiven += line => WriteError(line + "\n");
    }

    /// <summary>Text for standard error as it is.</summary>
    public void WriteError(string text)
    {
        if (KeepsOrder) Out.Flush();
        error.Write(text);
        error.Flush();
    }
}
