using System.Text;
using Varve.Graph;

namespace Varve.Cli.Img;

/// <summary>What <c>--help</c> prints.</summary>
internal static class ImgHelp
{
    private const int HelpColumn = 34;

    /// <summary>The help of the tool: every verb on a line, then what their parameters mean.</summary>
    public static string Text(string programName) => $"""
        usage: {programName} [standard options] command [command options]
        Creates, inspects, changes, checks, compares and converts disk images

            '-h', '--help'       display this help and exit
            '-V', '--version'    output version information and exit
            '-T', '--trace'      accepted; there are no trace points

        Command syntax:
        {string.Join('\n', ImgVerbs.All.Select(v => $"  {v.Name} {v.Syntax}"))}

        Command parameters ('{programName} command --help' explains the options of a command):
          'filename' is a path, or a name with a protocol prefix, or json with the options of a node
          'objectdef' is an object such as secret,id=sec0,data=...
          'fmt' is an image format; it is found out where it is not given (say raw for raw images)
          'cache' is writeback, none, writethrough, directsync or unsafe
          'size' is a number of bytes, or with a suffix k, M, G, T, P or E
          'options' are name=value pairs separated by commas; '-o help' lists those of a format
          'snapshot_param' is an id or a name, or snapshot.id=[ID],snapshot.name=[NAME]
          'ofmt' is human or json

        {SupportedFormats()}

        """;

    /// <summary>The help of a verb.</summary>
    public static string OfVerb(string programName, ImgVerb verb)
    {
        var text = new StringBuilder();
        text.Append($"usage: {programName} {verb.Name} {verb.Syntax}\n{verb.Summary}\n\n");
        foreach ((char? letter, string? name, bool takesArgument) in verb.Create().Options.All)
        {
            string key = letter?.ToString() ?? name!;
            string left = string.Join(", ", new[] { letter is null ? null : $"'-{letter}'", name is null ? null : $"'--{name}'" }.OfType<string>());
            if (takesArgument) left += " ARG";
            text.Append($"    {left.PadRight(HelpColumn - 5)} {ImgOptionHelp.Of(verb.Name, key)}\n");
        }

        return text.Append('\n').Append(SupportedFormats()).Append('\n').ToString();
    }

    private static string SupportedFormats()
        => $"Supported formats: {string.Join(' ', BlockDrivers.Default.All.Select(d => d.Name).Order(StringComparer.Ordinal))}";
}
