using System.Diagnostics;
using Varve.Cli.Completion;
using Varve.Cli.Output;

namespace Varve.Tests.Cli;

public sealed class CompletionTests
{
    [Theory]
    [InlineData("varve im", "img")]
    [InlineData("varve img cr", "create")]
    [InlineData("varve img create -f qc", "qcow2")]
    [InlineData("varve img -T x che", "check")]
    [InlineData("varve img check -r ", "leaks all")]
    [InlineData("varve img rebase --comp", "--compress")]
    [InlineData("qemu-img info --output = j", "json")]
    [InlineData("qemu-img info --output =", "human json")]
    [InlineData("/usr/bin/qemu-io -t writet", "writethrough")]
    [InlineData("varve completion z", "zsh")]
    public async Task Bash_completes_what_the_option_tables_say(string line, string expected)
    {
        Assert.SkipUnless(File.Exists("/bin/bash"), "bash is not installed");
        string words = string.Join(' ', line.Split(' ').Select(w => $"'{w}'"));
        string script = Script("bash") + $"\nCOMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); _varve; echo \"${{COMPREPLY[*]}}\"\n";
        var start = new ProcessStartInfo("/bin/bash", ["--noprofile", "--norc"]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        using Process bash = Process.Start(start)!;
        await bash.StandardInput.WriteAsync(script);
        bash.StandardInput.Close();
        string output = await bash.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        Assert.Equal(("", expected), ((await bash.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken)).Trim(), output.Trim()));
    }

    [Fact]
    public void Every_verb_and_option_of_img_is_in_each_script()
    {
        foreach (string shell in new[] { "bash", "zsh", "fish" })
        {
            string script = Script(shell);
            foreach (string word in new[] { "snapshot", "target-is-zero", "progress", "qemu-nbd" }) Assert.Contains(word, script, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("tcsh")]
    public void Another_shell_is_refused_with_the_usage(string shell)
    {
        using StringWriter output = new(), error = new();
        Assert.Equal(1, new CompletionTool(new ToolConsole("varve", output, error)).Run(shell.Length == 0 ? [] : [shell]));
        Assert.StartsWith("usage: varve completion bash | zsh | fish\n", error.ToString(), StringComparison.Ordinal);
    }

    private static string Script(string shell)
    {
        using StringWriter output = new(), error = new();
        Assert.Equal(0, new CompletionTool(new ToolConsole("varve", output, error)).Run([shell]));
        return output.ToString();
    }
}
