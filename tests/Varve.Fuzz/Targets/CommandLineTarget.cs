using System.Text;
using Varve.Cli.CommandLine;
using Varve.Cli.Img;
using Varve.Cli.Inspect;
using Varve.Cli.Output;

namespace Varve.Fuzz.Targets;

/// <summary>Command lines, an argument a line: getopt's rules on any of them, and the verbs that change nothing.</summary>
internal sealed class CommandLineTarget : FuzzTarget
{
    private static readonly string[] s_harmless = ["info", "map", "check", "compare", "inspect"];

    public override string Name => "command-line";

    public override IEnumerable<byte[]> Seeds => SeedFiles("command-line");

    public override IReadOnlyList<byte[]> Words => WordsOf(
        "\n - -- = --output=json --output --image-opts\n --object\nsecret,id=a,data=b -f\nraw -U --backing-chain -h --help info\n map\n check\n compare\n inspect\n "
        + "json:{} driver=null-co,size=1M driver=null-co file.driver= --start-offset=1k --max-length=1G -rl -p -q -s --trace=x");

    public override string Run(byte[] input)
    {
        string[] arguments = Encoding.UTF8.GetString(input).Split('\n');
        var table = new OptionTable("hf:Ur:", ("help", "h"), ("format:", "f"), ("output:", null), ("object:", null), ("image-opts", null), ("image", null));
        var reader = new OptionReader(table, arguments, (OperandOrder)(input.Length % 3));
        for (int i = 0; reader.Next() is not (OptionEvent.End or OptionEvent.Unknown or OptionEvent.MissingArgument); i++)
        {
            if (i > input.Length) throw new InvalidOperationException("more options than characters");
        }

        string text = string.Join('\n', arguments);
        if (!s_harmless.Contains(arguments[0]) || text.Contains("-r", StringComparison.Ordinal) || text.Contains("nbd", StringComparison.OrdinalIgnoreCase)
            || text.Contains("\\u", StringComparison.Ordinal) || text.Contains("file", StringComparison.Ordinal))
        {
            return reader.Problem;
        }

        using StringWriter output = new(), error = new();
        var console = new ToolConsole("varve", output, error);
        int status = arguments[0] == "inspect"
            ? new InspectTool(console).RunAsync(arguments[1..], CancellationToken.None).AsTask().GetAwaiter().GetResult()
            : new ImgTool(console).RunAsync(arguments, CancellationToken.None).AsTask().GetAwaiter().GetResult();
        return $"{status} {error}";
    }
}
