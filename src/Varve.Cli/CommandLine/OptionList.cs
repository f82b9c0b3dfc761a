namespace Varve.Cli.CommandLine;

/// <summary>The text collected from repeated <c>-o</c>.</summary>
internal static class OptionList
{
    /// <summary>Adds one <c>-o</c> to those before.</summary>
    /// <exception cref="ToolException">It is empty, or begins or ends with a comma that belongs to nothing.</exception>
    public static string Append(string? list, string argument)
    {
        int trailing = argument.Length - argument.TrimEnd(',').Length;
        if (argument.Length == 0 || argument.StartsWith(',') || trailing % 2 != 0) throw new ToolException($"Invalid option list: {argument}");
        return list is null ? argument : $"{list},{argument}";
    }

    /// <summary>Whether one of the options is <c>help</c> or <c>?</c>.</summary>
    public static bool AsksForHelp(string list)
    {
        int position = 0;
        while (position < list.Length)
        {
            string item = Varve.Options.Keyval.ReadValue(list, ref position);
            if (item is "help" or "?") return true;
        }

        return false;
    }
}
