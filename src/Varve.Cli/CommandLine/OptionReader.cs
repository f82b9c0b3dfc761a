namespace Varve.Cli.CommandLine;

/// <summary>What to do with arguments that are no options.</summary>
internal enum OperandOrder
{
    /// <summary>Options may follow operands; operands are collected.</summary>
    Permute,

    /// <summary>The first operand ends the options.</summary>
    StopAtFirst,

    /// <summary>Operands are reported where they stand, between the options.</summary>
    InPlace,
}

/// <summary>What <see cref="OptionReader.Next"/> came upon.</summary>
internal enum OptionEvent { Option, Operand, Unknown, MissingArgument, End }

// The grammar is getopt_long's, because scripts rely on all of it
//   -abc        bundled letters           -ofile, -o file     attached or separate argument
//   --name      long option               --name=x, --name x  attached or separate argument
//   --na        an abbreviation, when only one option (or several that mean the same) begins with it
//   --          ends the options          -                   an operand

/// <summary>Reads a command line option by option.</summary>
internal sealed class OptionReader(OptionTable table, IReadOnlyList<string> arguments, OperandOrder order = OperandOrder.Permute)
{
    private int _index;
    private int _bundlePosition;   // in arguments[_index] while inside a bundle of letters; 0 otherwise
    private int _optionStart;      // of the option reported last
    private readonly List<string> _operands = [];

    /// <summary>The option's letter, or its name when it has none.</summary>
    public string Key { get; private set; } = "";

    /// <summary>The option's argument, or the operand.</summary>
    public string Argument { get; private set; } = "";

    /// <summary>The arguments that are no options, once <see cref="OptionEvent.End"/> was reported.</summary>
    public IReadOnlyList<string> Operands => _operands;

    /// <summary>The argument read last: how an error names what it does not understand.</summary>
    public string LastRead => _index == 0 ? "" : arguments[_index - 1];

    /// <summary>The option with its argument, as they stand on the command line.</summary>
    public string Text => string.Join(' ', arguments.Skip(_optionStart).Take(_index - _optionStart));

    /// <summary>getopt_long's own message for the last <see cref="OptionEvent.Unknown"/> or <see cref="OptionEvent.MissingArgument"/>.</summary>
    public string Problem { get; private set; } = "";

    /// <summary>Moves to the next option.</summary>
    public OptionEvent Next()
    {
        if (_bundlePosition > 0) return NextLetter();
        while (_index < arguments.Count)
        {
            string argument = arguments[_index];
            _optionStart = _index;
            if (argument == "--")
            {
                _index++;
                break;
            }

            if (argument.Length > 1 && argument[0] == '-')
            {
                if (argument[1] == '-') return NextLong(argument);
                _bundlePosition = 1;
                return NextLetter();
            }

            if (order == OperandOrder.StopAtFirst) break;
            _index++;
            if (order == OperandOrder.InPlace)
            {
                Argument = argument;
                return OptionEvent.Operand;
            }

            _operands.Add(argument);
        }

        while (_index < arguments.Count) _operands.Add(arguments[_index++]);
        return OptionEvent.End;
    }

    private OptionEvent NextLetter()
    {
        string bundle = arguments[_index];
        char letter = bundle[_bundlePosition++];
        bool isLast = _bundlePosition == bundle.Length;
        Key = letter.ToString();
        Argument = "";
        if (isLast) LeaveBundle();
        if (!table.TryFind(letter, out bool takesArgument))
        {
            Problem = $"invalid option -- '{letter}'";
            return OptionEvent.Unknown;
        }

        if (!takesArgument) return OptionEvent.Option;
        if (!isLast)
        {
            Argument = bundle[_bundlePosition..];
            LeaveBundle();
            return OptionEvent.Option;
        }

        return TakeSeparateArgument($"option requires an argument -- '{letter}'");
    }

    private void LeaveBundle()
    {
        _index++;
        _bundlePosition = 0;
    }

    private OptionEvent NextLong(string argument)
    {
        _index++;
        int equals = argument.IndexOf('=', StringComparison.Ordinal);
        string name = equals < 0 ? argument[2..] : argument[2..equals];
        IReadOnlyList<(string Name, string Key, bool TakesArgument)> matches = table.Find(name);
        if (matches.Count == 0)
        {
            Problem = $"unrecognized option '--{name}'";
            return OptionEvent.Unknown;
        }

        (string found, Key, bool takesArgument) = matches[0];
        for (int i = 1; i < matches.Count; i++)
        {
            if (matches[i].Key == Key && matches[i].TakesArgument == takesArgument) continue;
            Problem = $"option '--{name}' is ambiguous; possibilities: {string.Join(' ', matches.Select(m => $"'--{m.Name}'"))}";
            return OptionEvent.Unknown;
        }

        Argument = equals < 0 ? "" : argument[(equals + 1)..];
        if (!takesArgument && equals >= 0)
        {
            Problem = $"option '--{found}' doesn't allow an argument";
            return OptionEvent.Unknown;
        }

        return takesArgument && equals < 0 ? TakeSeparateArgument($"option '--{found}' requires an argument") : OptionEvent.Option;
    }

    private OptionEvent TakeSeparateArgument(string problem)
    {
        if (_index == arguments.Count)
        {
            Problem = problem;
            return OptionEvent.MissingArgument;
        }

        Argument = arguments[_index++];
        return OptionEvent.Option;
    }
}
