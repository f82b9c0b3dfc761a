using Varve.Cli.Output;

namespace Varve.Cli.Io;

/// <summary>Where commands print. Requests that complete on their own print too, so each text comes out whole.</summary>
/// <param name="console">The tool's console.</param>
internal sealed class IoOutput(ToolConsole console)
{
    private readonly Lock _lock = new();

    /// <summary>Text for standard output, line ends included.</summary>
    public void Print(string text)
    {
        lock (_lock) console.Out.Write(text);
    }

    /// <summary>Text for standard error as it is, line ends included.</summary>
    public void PrintError(string text)
    {
        lock (_lock) console.WriteError(text);
    }

    /// <summary><c>qemu-io: message</c> on standard error, with the hint under it.</summary>
    public void Report(BlockException failure)
    {
        lock (_lock) console.ReportError(failure.Message, failure.Hint);
    }

    /// <summary>Makes what was printed visible: before the prompt, and before the process may end.</summary>
    public void Flush()
    {
        lock (_lock) console.Out.Flush();
    }
}
