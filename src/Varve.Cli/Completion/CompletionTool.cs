using Varve.Cli.Output;

namespace Varve.Cli.Completion;

/// <summary><c>varve completion SHELL</c>: prints what a shell reads to complete our command lines.</summary>
internal sealed class CompletionTool(ToolConsole console)
{
    /// <summary>Runs a command line.</summary>
    /// <returns>The process's exit status.</returns>
    public int Run(IReadOnlyList<string> arguments)
    {
        string? script = arguments is [{ } shell] ? ScriptOf(shell) : null;
        if (script is null)
        {
            console.WriteError("""
                usage: varve completion bash | zsh | fish
                Prints a script for the shell. For this session: source <(varve completion bash)

                """);
            return 1;
        }

        console.Out.Write(script);
        return 0;
    }

    private static string? ScriptOf(string shell) => shell switch
    {
        "bash" => BashScript.Text(CompletionContext.All),
        "zsh" => BashScript.ZshText(CompletionContext.All),
        "fish" => FishScript.Text(CompletionContext.All),
        _ => null,
    };
}
