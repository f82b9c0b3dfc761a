using Varve.Cli.Img;

namespace Varve.Tests.Cli;

public sealed class ImgHelpTests
{
    [Fact]
    public async Task Help_has_the_references_sections_and_every_verb()
    {
        ToolRun run = await ToolRun.ImgAsync("--help");
        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        Assert.StartsWith("usage: qemu-img [standard options] command [command options]\n", run.Output, StringComparison.Ordinal);
        foreach (string part in new[] { "\nCommand syntax:\n  ", "\nCommand parameters", "\nSupported formats: " }) Assert.Contains(part, run.Output, StringComparison.Ordinal);
        foreach (ImgVerb verb in ImgVerbs.All) Assert.Contains($"\n  {verb.Name} ", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Every_verb_explains_every_option_it_takes()
    {
        foreach (ImgVerb verb in ImgVerbs.All)
        {
            ToolRun run = await ToolRun.ImgAsync(verb.Name, "--help");
            Assert.Equal((0, ""), (run.ExitCode, run.Error));
            Assert.StartsWith($"usage: qemu-img {verb.Name} ", run.Output, StringComparison.Ordinal);
            foreach ((char? letter, string? name, _) in verb.Create().Options.All)
            {
                Assert.NotEqual("", ImgOptionHelp.Of(verb.Name, letter?.ToString() ?? name!));
            }
        }
    }

    [Fact]
    public async Task Kinds_of_objects_are_listed_by_every_verb()
        => Assert.StartsWith("List of user creatable objects:\n", (await ToolRun.ImgAsync("convert", "--object", "help")).Output, StringComparison.Ordinal);
}
