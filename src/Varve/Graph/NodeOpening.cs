using System.Text.Json;
using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Graph;

/// <summary>What a driver is handed to open a node: its graph, name, settings and options, and the way to its children.</summary>
/// <remarks>
/// A driver takes (removes) each option it understands from <see cref="Options"/>; what is left at the end is an error that
/// the opener reports by name. Values are typed JSON, or strings where they came from a file name or a command line:
/// <see cref="TakeString"/> and its kin accept both.
/// </remarks>
internal sealed partial class NodeOpening(BlockGraph graph, BlockDriver driver, string nodeName, NodeSettings settings, JsonObject options)
{
    private readonly List<BlockChild> _attached = [];

    public BlockGraph Graph { get; } = graph;

    public BlockDriver Driver { get; } = driver;

    public string NodeName { get; } = nodeName;

    public NodeSettings Settings { get; set; } = settings;

    /// <summary>The driver's options that are not taken yet; dotted keys already nested.</summary>
    public JsonObject Options { get; } = options;

    /// <summary>Where names inside images may lead, and how deep; shared by the whole chain being opened.</summary>
    public required OpenContext Context { get; init; }

    /// <summary>The file name this node was opened by, where it was opened by name.</summary>
    public string? Filename { get; init; }

    /// <summary>Whether the driver was guessed from the image's first bytes. A guessed <c>raw</c> must not let a guest write a header
    /// there that the next guess would believe: see <see cref="ImageProbe.LooksLikeAnotherFormat"/>.</summary>
    public bool IsProbed { get; init; }

    /// <summary>Whether the node stands below a format, where a file name alone means the protocol and nothing is guessed.</summary>
    internal bool IsProtocolLayer { get; init; }

    /// <summary>A file child that was opened to look at its first bytes, and waits for the driver to ask for it.</summary>
    internal BlockNode? ProbedFile { get; set; }

    /// <summary>Edges made so far: undone when the opening fails.</summary>
    internal IReadOnlyList<BlockChild> Attached => _attached;

    /// <summary>The node that was newest when the opening reached its backing image; the new node is listed next to it.</summary>
    internal BlockNode? ListedAfter { get; private set; }

    // ---- Options

    /// <summary>Removes and returns an option as text; null when absent.</summary>
    public string? TakeString(string name) => Take(name) switch
    {
        null => null,
        JsonValue value when value.GetValueKind() == JsonValueKind.String => value.GetValue<string>(),
        JsonValue value when value.GetValueKind() is JsonValueKind.True or JsonValueKind.False => value.GetValue<bool>() ? "on" : "off",
        JsonValue value => value.ToJsonString(),
        _ => throw WrongType(name, "string"),
    };

    /// <summary>Removes and returns a boolean: JSON true and false, or on, off, yes, no, true, false.</summary>
    public bool? TakeBool(string name) => Take(name) switch
    {
        null => null,
        JsonValue value when value.GetValueKind() is JsonValueKind.True or JsonValueKind.False => value.GetValue<bool>(),
        JsonValue value when value.GetValueKind() == JsonValueKind.String => OptionChecker.TryParseBool(value.GetValue<string>())
            ?? throw new BlockException(BlockErrorKind.Invalid, $"Parameter '{name}' expects 'on' or 'off'"),
        _ => throw WrongType(name, "boolean"),
    };

    /// <summary>Removes and returns an integer, or a size with a suffix where it came as text.</summary>
    public long? TakeSize(string name)
    {
        JsonNode? value = Take(name);
        if (value is null) return null;
        if (OptionChecker.TextOf(value) is { } text) return SizeText.ParseOption(name, text);
        if (!OptionChecker.TryGetInteger(value, out Int128 number)) throw WrongType(name, "integer");
        return number >= 0 && number <= long.MaxValue
            ? (long)number
            : throw new BlockException(BlockErrorKind.Invalid, $"Parameter '{name}' expects a non-negative number below 2^64");
    }

    /// <summary>Removes and returns an option as it is; null when absent.</summary>
    public JsonNode? Take(string name)
    {
        if (!Options.TryGetPropertyValue(name, out JsonNode? value)) return null;
        Options.Remove(name);
        return value;
    }

    /// <summary>Removes and returns a child's description: an object, or the name of a node, which no further options can change.</summary>
    internal JsonNode? TakeChild(string name)
    {
        JsonNode? description = Take(name);
        if (description is JsonValue && Options.Any(o => o.Key.StartsWith(name + ".", StringComparison.Ordinal)))
        {
            throw new BlockException(BlockErrorKind.Invalid, "Cannot reference an existing block device with additional options or a new filename");
        }

        return description;
    }

    // ---- Children

    /// <summary>Opens (or refers to) the child that option <paramref name="name"/> describes and attaches it to <paramref name="parent"/>.</summary>
    /// <param name="parent">The node being opened.</param>
    /// <param name="name">The child's name, which is also the option's.</param>
    /// <param name="role">Decides its permissions.</param>
    /// <param name="cancellationToken">Ends the opening.</param>
    /// <returns>The edge, or null when the option is absent.</returns>
    public async ValueTask<BlockChild?> OpenChildAsync(BlockNode parent, string name, ChildRole role, CancellationToken cancellationToken)
    {
        if (name == "file" && ProbedFile is { } probed)
        {
            ProbedFile = null;
            return await AttachAsync(parent, name, role, probed, cancellationToken).ConfigureAwait(false);
        }

        if (!Options.ContainsKey(name)) return null;
        JsonNode? description = TakeChild(name);
        BlockNode child = await Graph.OpenChildNodeAsync(this, description, role, cancellationToken).ConfigureAwait(false);
        return await AttachAsync(parent, name, role, child, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>As <see cref="OpenChildAsync"/>, for a child the driver cannot be without.</summary>
    public async ValueTask<BlockChild> OpenRequiredChildAsync(BlockNode parent, string name, ChildRole role, CancellationToken cancellationToken)
        => await OpenChildAsync(parent, name, role, cancellationToken).ConfigureAwait(false)
           ?? throw new BlockException(BlockErrorKind.Invalid, $"A block device must be specified for \"{name}\"");

    /// <summary>Opens the child that a file name of the user's means (the image in <c>blkdebug::IMAGE</c>) and attaches it.</summary>
    public async ValueTask<BlockChild> OpenChildByNameAsync(
        BlockNode parent, string name, ChildRole role, string filename, CancellationToken cancellationToken, bool isProbed = false)
    {
        JsonObject options = Take(name) as JsonObject ?? [];
        NodeSettings settings = Settings.ForChild(role, Driver.IsFormat);
        BlockNode child = await Graph.OpenDescribedAsync(
            filename, (JsonObject)options.DeepClone(), !isProbed && (Driver.IsFormat || IsProtocolLayer), Context, settings, cancellationToken).ConfigureAwait(false);
        return await AttachAsync(parent, name, role, child, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Attaches a node the caller holds a reference to; the edge takes the reference over.</summary>
    public async ValueTask<BlockChild> AttachAsync(
        BlockNode parent, string name, ChildRole role, BlockNode child, CancellationToken cancellationToken)
    {
        try
        {
            var change = new GraphTransaction(Graph);
            BlockChild edge = change.Attach(parent, name, role, child);
            await change.PrepareAsync(cancellationToken).ConfigureAwait(false);
            await change.CommitAsync().ConfigureAwait(false);
            _attached.Add(edge);
            return edge;
        }
        finally
        {
            await Graph.ReleaseAsync(child).ConfigureAwait(false);
        }
    }

    private static BlockException WrongType(string name, string expected)
        => new(BlockErrorKind.Invalid, $"Invalid parameter type for '{name}', expected: {expected}");
}
