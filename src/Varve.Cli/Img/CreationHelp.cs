using System.Text;
using Varve.Creation;
using Varve.Graph;

namespace Varve.Cli.Img;

/// <summary>What <c>-o help</c> prints.</summary>
internal static class CreationHelp
{
    private const int HelpColumn = 25;

    /// <summary>The options of a format, with those of the protocol when a file name selects one.</summary>
    public static string Text(BlockGraph graph, string format, string? filename)
    {
        (CreationFormat found, IReadOnlyList<CreationOption> options) = ImageCreator.FindFormat(graph, format, filename);
        var text = new StringBuilder(filename is null ? $"Supported {found.Name} options:\n" : "Supported options:\n");
        AppendOptions(text, options);

        if (filename is null)
        {
            text.Append("\nThe protocol level may support further options.\nSpecify the target filename to include those options.\n");
        }

        return text.ToString();
    }

    /// <summary>The options that can be amended.</summary>
    public static string AmendText(CreationFormat format)
    {
        var text = new StringBuilder($"Amend options for '{format.Name}':\n");
        AppendOptions(text, format.AmendOptions);
        return text.ToString();
    }

    private static void AppendOptions(StringBuilder text, IReadOnlyList<CreationOption> options)
    {
        foreach (CreationOption option in options.OrderBy(o => o.Name, StringComparer.Ordinal))
        {
            string left = $"  {option.Name}=<{TypeText(option.Type)}>";
            text.Append(left.PadRight(HelpColumn - 1)).Append(" - ").Append(option.Help).Append('\n');
        }
    }

    private static string TypeText(CreationOptionType type) => type switch
    {
        CreationOptionType.Switch => "bool (on/off)",
        CreationOptionType.Number => "num",
        CreationOptionType.Size => "size",
        _ => "str",
    };
}
