using System.Globalization;
using System.Text;
using Varve.Options;

namespace Varve.Creation;

/// <summary>The options an image is created with: those given, checked one by one, and the defaults of the others.</summary>
/// <remarks>Values keep the text they have on the wire: <c>on</c>, <c>off</c>, a decimal number of bytes.</remarks>
internal sealed class CreationOptionValues
{
    private readonly IReadOnlyList<CreationOption> _options;
    private readonly Dictionary<string, string> _given = new(StringComparer.Ordinal);

    /// <summary>Nothing given yet.</summary>
    /// <param name="options">What may be given, in the order of <see cref="Describe"/>.</param>
    public CreationOptionValues(IReadOnlyList<CreationOption> options) => _options = options;

    /// <summary>The value given, or the default; null when there is neither.</summary>
    public string? this[string name] => Given(name) ?? Find(name)?.Default;

    /// <summary>The value given; null when none was.</summary>
    public string? Given(string name) => _given.GetValueOrDefault(name);

    /// <summary>Whether the options know a name.</summary>
    public bool Knows(string name) => Find(name) is not null;

    /// <summary>Gives a value.</summary>
    /// <exception cref="BlockException"><see cref="BlockErrorKind.Invalid"/>: no such option, or not a value for it.</exception>
    public void Set(string name, string value)
    {
        CreationOption option = Find(name) ?? throw new BlockException(BlockErrorKind.Invalid, $"Invalid parameter '{name}'");
        _given[name] = option.Type switch
        {
            CreationOptionType.Switch => ParseSwitch(name, value),
            CreationOptionType.Number => ParseNumber(name, value),
            CreationOptionType.Size => SizeText.ParseOption(name, value).ToString(CultureInfo.InvariantCulture),
            _ => value,
        };
    }

    /// <summary>Gives the values of an option string: <c>a=1,b=on</c>; <c>,,</c> is a comma in a value, a bare name switches it on.</summary>
    public void SetAll(string text)
    {
        int position = 0;
        while (position < text.Length)
        {
            int end = text.AsSpan(position).IndexOfAny('=', ',');
            string name = end < 0 ? text[position..] : text[position..(position + end)];
            position = end < 0 ? text.Length : position + end;
            if (position < text.Length && text[position] == '=')
            {
                position++;
                Set(name, Keyval.ReadValue(text, ref position));
            }
            else
            {
                position++;
                SetBare(name);
            }
        }
    }

    /// <summary>The options that have a value, given or default, as tools show what they are about to do: <c>size=1024 compat=1.1</c>.</summary>
    public string Describe()
    {
        var text = new StringBuilder();
        foreach (CreationOption option in _options)
        {
            if (this[option.Name] is not { } value) continue;
            if (text.Length > 0) text.Append(' ');
            text.Append(option.Name).Append('=').Append(value.Replace(",", ",,", StringComparison.Ordinal));
        }

        return text.ToString();
    }

    /// <summary>Two lists made one; where both have an option, the first one's is taken.</summary>
    public static IReadOnlyList<CreationOption> Merge(IReadOnlyList<CreationOption> first, IReadOnlyList<CreationOption> second)
        => [.. first, .. second.Where(o => first.All(f => f.Name != o.Name))];

    private CreationOption? Find(string name) => _options.FirstOrDefault(o => o.Name == name);

    // As the reference's option strings: "name" is name=on and "noname" is name=off, whatever the option's type.
    private void SetBare(string name)
    {
        if (Knows(name)) Set(name, "on");
        else if (name.StartsWith("no", StringComparison.Ordinal) && Knows(name[2..])) Set(name[2..], "off");
        else throw new BlockException(BlockErrorKind.Invalid, $"Invalid parameter '{name}'");
    }

    private static string ParseSwitch(string name, string value) => value switch
    {
        "on" or "yes" or "true" or "y" => "on",
        "off" or "no" or "false" or "n" => "off",
        _ => throw new BlockException(BlockErrorKind.Invalid, $"Parameter '{name}' expects 'on' or 'off'"),
    };

    /// <summary>A number as C reads one: decimal or hexadecimal, and a negative one is the option's to refuse.</summary>
    private static string ParseNumber(string name, string value)
        => value.StartsWith('-') && ulong.TryParse(value.AsSpan(1), NumberStyles.None, CultureInfo.InvariantCulture, out _) ? value
            : ulong.TryParse(value, NumberStyles.AllowLeadingWhite, CultureInfo.InvariantCulture, out ulong number)
           || (value.StartsWith("0x", StringComparison.Ordinal)
               && ulong.TryParse(value.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out number))
            ? number.ToString(CultureInfo.InvariantCulture)
            : value.Length > 0 && value.All(char.IsAsciiDigit) ? throw new BlockException(BlockErrorKind.Invalid, $"Value '{value}' is too large for parameter '{name}'")
            : throw new BlockException(BlockErrorKind.Invalid, $"Parameter '{name}' expects a number");
}
