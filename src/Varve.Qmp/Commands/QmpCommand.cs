using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Qmp.Commands;

/// <summary>A command: its declaration, which is also its schema, and what it does.</summary>
/// <remarks>
/// One command, one file. The declaration serves the check of arguments, <c>query-commands</c> and <c>query-qmp-schema</c>;
/// <see cref="ExecuteAsync"/> sees arguments that are checked already. A new command is a class here and its line in
/// <see cref="CommandTable"/>.
/// </remarks>
internal abstract class QmpCommand(string name)
{
    /// <summary>A command with plain arguments.</summary>
    protected QmpCommand(string name, params IReadOnlyList<OptionMember> arguments) : this(name)
        => Arguments = new ObjectType(name + "-arg", arguments);

    /// <summary>A command whose arguments are a type of their own (<c>blockdev-add</c>).</summary>
    protected QmpCommand(string name, ObjectType arguments) : this(name) => Arguments = arguments;

    /// <summary>As on the wire.</summary>
    public string Name { get; } = name;

    public ObjectType Arguments { get; } = new(name + "-arg", []);

    /// <summary>The type of the result; null for none (an empty object on the wire).</summary>
    public virtual OptionType? Returns => null;

    /// <summary><c>deprecated</c>, <c>unstable</c> and the like.</summary>
    public virtual IReadOnlyList<string> Features => [];

    /// <summary>Whether it may run out of turn.</summary>
    public virtual bool AllowsOutOfBand => false;

    /// <summary>Whether it runs under the graph's control lock. False for commands that need neither graph nor jobs.</summary>
    public virtual bool NeedsControlLock => true;

    /// <summary>Whether it is accepted before the capabilities are negotiated.</summary>
    public virtual bool IsNegotiation => false;

    /// <summary>Does it.</summary>
    /// <returns>The result; null for none.</returns>
    /// <exception cref="QmpException">An error with a class of its own.</exception>
    /// <exception cref="BlockException">Any other refusal; its message is the reply's <c>desc</c>.</exception>
    public abstract ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken);
}
