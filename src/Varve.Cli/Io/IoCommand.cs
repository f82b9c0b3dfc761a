using Varve.Cli.CommandLine;
using Varve.Graph;

namespace Varve.Cli.Io;

/// <summary>A command of <c>io</c>: how it is called, and what it does to the open image.</summary>
internal abstract class IoCommand
{
    /// <summary>Any number of arguments, for <see cref="MaxArguments"/>.</summary>
    protected const int Unlimited = -1;

    public abstract string Name { get; }

    /// <summary>A shorter name; null without one.</summary>
    public virtual string? Alias => null;

    /// <summary>The arguments as usage shows them; null where there are none.</summary>
    public virtual string? Arguments => null;

    /// <summary>What it does, in a line.</summary>
    public abstract string Summary { get; }

    /// <summary>What <c>help NAME</c> says beyond the line; null where that is all.</summary>
    public virtual string? Details => null;

    /// <summary>Words that must follow the name, options counted.</summary>
    public virtual int MinArguments => 0;

    /// <summary>Words that may follow the name, options counted.</summary>
    public virtual int MaxArguments => 0;

    /// <summary>What it needs of the image beyond reading.</summary>
    public virtual BlockPermissions Permissions => BlockPermissions.None;

    /// <summary>Whether it works with no image open.</summary>
    public virtual bool RunsWithoutImage => false;

    /// <summary>Whether it may wait for anything, and so lets requests in flight print their outcomes before its own.</summary>
    public virtual bool Waits => true;

    /// <summary>The usage line.</summary>
    public string Usage => Arguments is null ? $"{Name} -- {Summary}\n" : $"{Name} {Arguments} -- {Summary}\n";

    /// <summary>Does it.</summary>
    /// <param name="engine">What it works on.</param>
    /// <param name="arguments">The words after the name; their number has been checked.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>Whether it succeeded. What it throws fails too: <see cref="IoRefusal"/> says where the text goes, and a
    /// <see cref="BlockException"/> is reported as an error of the program.</returns>
    public abstract ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken);

    /// <summary>Reads options; operands may stand between them.</summary>
    /// <param name="table">The options there are.</param>
    /// <param name="arguments">The words after the command's name.</param>
    /// <param name="set">Takes note of one: its letter and argument.</param>
    /// <returns>The words that are no options.</returns>
    protected IReadOnlyList<string> ReadOptions(OptionTable table, IReadOnlyList<string> arguments, Action<char, string> set)
    {
        var reader = new OptionReader(table, arguments);
        for (OptionEvent next; (next = reader.Next()) != OptionEvent.End;)
        {
            if (next != OptionEvent.Option) throw new IoRefusal(Usage) { ErrorText = $"{Name}: {reader.Problem}\n" };
            set(reader.Key[0], reader.Argument);
        }

        return reader.Operands;
    }

    /// <summary>Refuses a wrong number of operands.</summary>
    protected void RequireOperands(IReadOnlyList<string> operands, int min, int max)
    {
        if (operands.Count < min || (max >= 0 && operands.Count > max)) throw new IoRefusal(Usage);
    }
}
