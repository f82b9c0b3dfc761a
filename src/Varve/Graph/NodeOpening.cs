using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Varve.Graph;

/// <summary>What a driver is handed to open a node: its graph, name, settings and options, and the way to its children.</summary>
/// <remarks>
/// A driver takes (removes) each option it understands from <see cref="Options"/>; what is left at the end is an error that
/// the opener reports by name. Values are typed JSON, or strings where they came from a file name or a command line:
/// <see cref="TakeString"/> and its kin accept both.
/// </remarks>
internal sealed class NodeOpening(BlockGraph graph, BlockDriver driver, string nodeName, NodeSettings settings, JsonObject options)
{
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
        JsonValue value when value.GetValueKind() == JsonValueKind.String => value.GetValue<string>() switch
        {
            "on" or "yes" or "true" or "y" => true,
            "off" or "no" or "false" or "n" => false,
            _ => throw new BlockException(BlockErrorKind.Invalid, $"Parameter '{name}' expects 'on' or 'off'"),
        },
        _ => throw WrongType(name, "boolean"),
    };

    /// <summary>Removes and returns an integer, or a size with a suffix where it came as text.</summary>
    public long? TakeSize(string name)
    {
        switch (Take(name))
        {
            case null: return null;
            case JsonValue value when value.GetValueKind() == JsonValueKind.Number && value.TryGetValue(out long number): return number;
            case JsonValue value when value.GetValueKind() == JsonValueKind.String:
                return ParseSize(name, value.GetValue<string>());
            default: throw WrongType(name, "integer");
        }
    }

    /// <summary>Removes and returns an option as it is; null when absent.</summary>
    public JsonNode? Take(string name)
    {
        if (!Options.TryGetPropertyValue(name, out JsonNode? value)) return null;
        Options.Remove(name);
        return value;
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
        if (!Options.ContainsKey(name)) return null;
        JsonNode? description = Take(name);
        BlockNode child = await Graph.OpenChildNodeAsync(this, description, role, cancellationToken).ConfigureAwait(false);
        return await AttachAsync(parent, name, role, child, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>As <see cref="OpenChildAsync"/>, for a child the driver cannot be without.</summary>
    public async ValueTask<BlockChild> OpenRequiredChildAsync(BlockNode parent, string name, ChildRole role, CancellationToken cancellationToken)
        => await OpenChildAsync(parent, name, role, cancellationToken).ConfigureAwait(false)
           ?? throw new BlockException(BlockErrorKind.Invalid, $"A block device must be specified for \"{name}\"");

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
            return edge;
        }
        finally
        {
            await Graph.ReleaseAsync(child).ConfigureAwait(false);
        }
    }

    private static long ParseSize(string name, string text)
        => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long value)
            ? value
            : throw new BlockException(BlockErrorKind.Invalid, $"Parameter '{name}' expects a non-negative number below 2^64");

    private static BlockException WrongType(string name, string expected)
        => new(BlockErrorKind.Invalid, $"Invalid parameter type for '{name}', expected: {expected}");
}
