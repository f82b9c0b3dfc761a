using System.Globalization;
using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Graph;

/// <summary>A node's names at one version of the graph.</summary>
internal sealed class NodeNames
{
    private readonly BlockNode _node;
    private readonly bool _showsBacking;

    private NodeNames(BlockNode node)
    {
        _node = node;
        Version = node.Graph.Version;
        _showsBacking = node.IsBackingOverridden;
        Exact = node.GetExactFilename(_showsBacking || node.Driver.StrongOptions.Any(node.GivenOptions.ContainsKey));
        Filename = Exact ?? Shorten(FileNames.JsonPrefix + JsonText.Write(FullOptions));
    }

    private NodeNames(BlockNode node, BlockNode shown)
    {
        _node = node;
        Version = node.Graph.Version;
        Exact = shown.ExactFilename;
        Filename = shown.Filename;
        FullOptions = shown.FullOptions;
    }

    /// <summary>The graph's version they were computed at.</summary>
    public int Version { get; }

    /// <summary>The plain name; null where there is none.</summary>
    public string? Exact { get; }

    public string Filename { get; }

    /// <summary>The options that open the node again; shared, not to be changed.</summary>
    public JsonObject FullOptions { get => field ??= Describe(); }

    /// <summary>The names of <paramref name="node"/> now. A filter that a job put in without a name shows those of the node below.</summary>
    public static NodeNames Of(BlockNode node)
        => node.IsImplicit && node.FilteredChild is { } below ? new NodeNames(node, below.Node) : new NodeNames(node);

    private JsonObject Describe()
    {
        var options = new JsonObject();
        foreach (string name in _node.Driver.StrongOptions)
        {
            if (_node.GivenOptions.TryGetPropertyValue(name, out JsonNode? value)) AddFlat(options, name, value);
        }

        options["driver"] = _node.Driver.Name;
        foreach (BlockChild child in _node.Children)
        {
            bool isBacking = ReferenceEquals(child, _node.BackingChild);
            if (!isBacking || _showsBacking) options[child.Name] = child.Node.FullOptions;
        }

        if (_showsBacking && _node.BackingChild is null) options["backing"] = null;
        return options;
    }

    /// <summary>Groups and lists are shown with dotted keys: <c>"server.path"</c>.</summary>
    private static void AddFlat(JsonObject options, string name, JsonNode? value)
    {
        switch (value)
        {
            case JsonObject group:
                foreach ((string member, JsonNode? inner) in JsonText.InOrder(group)) AddFlat(options, $"{name}.{member}", inner);
                break;
            case JsonArray list:
                for (int i = 0; i < list.Count; i++) AddFlat(options, string.Create(CultureInfo.InvariantCulture, $"{name}.{i}"), list[i]);
                break;
            default:
                options[name] = value?.DeepClone();
                break;
        }
    }

    private static string Shorten(string name)
        => name.Length < FileNames.MaxLength ? name : string.Concat(name.AsSpan(0, FileNames.MaxLength - 4), "...");
}
