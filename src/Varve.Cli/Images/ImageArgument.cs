using System.Text.Json.Nodes;
using Varve.Graph;

namespace Varve.Cli.Images;

/// <summary>An image as the command line names it, and how it is to be opened.</summary>
/// <param name="Text">A file name, or with <paramref name="IsOptions"/> an option string.</param>
/// <param name="Format">The driver given with <c>-f</c>; null: found out.</param>
/// <param name="IsOptions">Whether <c>--image-opts</c> was given.</param>
internal sealed record ImageArgument(string Text, string? Format, bool IsOptions)
{
    public NodeSettings Settings { get; init; } = new() { ReadOnly = true };

    /// <summary>Leave the backing chain closed.</summary>
    public bool NoBacking { get; init; }

    /// <summary>Look at metadata only.</summary>
    public bool NoIO { get; init; }

    /// <summary>More options of the node, beside what a plain name says.</summary>
    public JsonObject? MoreOptions { get; init; }

    /// <summary>Its length will change.</summary>
    public bool MayResize { get; init; }

    /// <summary>How errors begin when it cannot be opened.</summary>
    public string FailurePrefix { get; init; } = $"Could not open '{Text}': ";

    /// <summary>Open what can only be checked, too.</summary>
    public bool ForCheck { get; init; }

    /// <summary>The exit status when it cannot be opened.</summary>
    public int OpenFailure { get; init; } = 1;
}
