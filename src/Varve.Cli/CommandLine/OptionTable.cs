namespace Varve.Cli.CommandLine;

/// <summary>A command's options, in getopt_long's terms.</summary>
/// <remarks>Long options without a letter are known by their name, those with one by the letter: <see cref="OptionReader.Key"/>.</remarks>
internal sealed class OptionTable
{
    private readonly string _letters;
    private readonly (string Name, string Key, bool TakesArgument)[] _long;

    /// <summary><c>--progress=json</c>: Varve's own, so it must be written out: an abbreviation keeps meaning what it means to the reference.</summary>
    public static readonly (string Name, string? Letter) Progress = ("progress:", null);

    /// <summary>Declares the options.</summary>
    /// <param name="letters">The one-letter options; a colon after one that takes an argument.</param>
    /// <param name="longOptions">Names, with a colon where they take an argument, and the letter that means the same or null.</param>
    public OptionTable(string letters, params (string Name, string? Letter)[] longOptions)
    {
        _letters = letters;
        _long = new (string, string, bool)[longOptions.Length];
        for (int i = 0; i < longOptions.Length; i++)
        {
            string name = longOptions[i].Name.TrimEnd(':');
            _long[i] = (name, longOptions[i].Letter ?? name, name.Length < longOptions[i].Name.Length);
        }
    }

    /// <summary>Every option: its letter or null, its long name or null, and whether it takes an argument.</summary>
    public IEnumerable<(char? Letter, string? Name, bool TakesArgument)> All
    {
        get
        {
            foreach (char letter in _letters.Where(c => c != ':'))
            {
                TryFind(letter, out bool takesArgument);
                yield return (letter, Array.Find(_long, o => o.Key == letter.ToString()).Name, takesArgument);
            }

            foreach ((string name, string key, bool takesArgument) in _long)
            {
                if (key.Length > 1) yield return (null, name, takesArgument);
            }
        }
    }

    /// <summary>Whether a letter is an option, and whether it takes an argument.</summary>
    public bool TryFind(char letter, out bool takesArgument)
    {
        int index = letter is ':' ? -1 : _letters.IndexOf(letter, StringComparison.Ordinal);
        takesArgument = index >= 0 && index + 1 < _letters.Length && _letters[index + 1] == ':';
        return index >= 0;
    }

    /// <summary>The long options a name may stand for: the one it equals, or all that begin with it.</summary>
    public IReadOnlyList<(string Name, string Key, bool TakesArgument)> Find(ReadOnlySpan<char> name)
    {
        var matches = new List<(string Name, string Key, bool TakesArgument)>();
        foreach ((string Name, string Key, bool TakesArgument) option in _long)
        {
            if (!option.Name.AsSpan().StartsWith(name)) continue;
            if (option.Name.Length == name.Length) return [option];
            if (option.Name != "progress") matches.Add(option);
        }

        return matches;
    }
}
