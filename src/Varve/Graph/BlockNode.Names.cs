using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Graph;

// How nodes are named (control plane)
//   1. A name says how to open the same data again. Where a plain name does, that is the node's name; else a json: description.
//   2. Names follow from the graph and are computed when asked for; NodeNames caches them until BlockGraph.Version moves.

/// <content>What a node is called: in queries, in the header of an image above it, in messages.</content>
internal abstract partial class BlockNode
{
    private NodeNames? _names;

    /// <summary>The driver's options the node was opened with, without children and common options.</summary>
    internal JsonObject GivenOptions { get; set; } = [];

    /// <summary>The name the backing node had when it was opened because the header names it; null where the caller chose the
    /// backing node, and once the header was rewritten.</summary>
    internal string? ImplicitBackingName { get; set; }

    /// <summary>The name that opens this node again: a plain name, or <c>json:</c> with all options that matter.</summary>
    public string Filename => Names.Filename;

    /// <summary>The plain name that opens this node again; null where only a description does.</summary>
    public string? ExactFilename => Names.Exact;

    /// <summary>The options that open this node again; a copy.</summary>
    public JsonObject FullOptions => (JsonObject)Names.FullOptions.DeepClone();

    /// <summary>Whether the backing node is another than the one that opening the image again would give.</summary>
    public bool IsBackingOverridden => BackingChild is { } backing
        ? (ImplicitBackingName ?? RecordedBackingFile ?? "") != backing.Node.Filename
        : !IsBackingIgnored && !string.IsNullOrEmpty(ImplicitBackingName ?? RecordedBackingFile);

    /// <summary>Whether the image was opened without its backing image only because nobody was going to read data.</summary>
    internal bool IsBackingIgnored { get; set; }

    /// <summary>What relative names in this image are relative to: a path that ends in a slash, or nothing.</summary>
    /// <exception cref="BlockException">The node has no directory: it is no file, or only a description names it.</exception>
    public virtual string DirectoryName
    {
        get
        {
            if (PrimaryChild is { } child) return child.Node.DirectoryName;
            return ExactFilename is { } name && Driver.IsProtocol
                ? FileNames.DirectoryOf(name)
                : throw new BlockException(BlockErrorKind.Unsupported, $"Cannot generate a base directory for {Driver.Name} nodes");
        }
    }

    /// <summary>The recorded backing name as it is opened: relative names resolved; null without one.</summary>
    /// <exception cref="BlockException">It is relative, and the node has no directory.</exception>
    public string? FullBackingFile
    {
        get
        {
            if (string.IsNullOrEmpty(RecordedBackingFile)) return null;
            return FileNames.HasPrefix(RecordedBackingFile) || FileNames.IsAbsolute(RecordedBackingFile)
                ? RecordedBackingFile
                : DirectoryName + RecordedBackingFile;
        }
    }

    private NodeNames Names
    {
        get
        {
            // Bottom up: a name depends on the names below, and a long chain must not become a deep recursion.
            var stale = new Stack<BlockNode>();
            for (BlockNode? node = this; node is not null && node._names?.Version != Graph.Version; node = node.ChainChild?.Node) stale.Push(node);
            while (stale.TryPop(out BlockNode? node)) node._names = NodeNames.Of(node);
            return _names!;
        }
    }

    /// <summary>The plain name of the node, if one says all; drivers with names of their own kind override it.</summary>
    /// <param name="hasStrongOptions">Options of the node, or a backing node, that a plain name would lose.</param>
    protected internal virtual string? GetExactFilename(bool hasStrongOptions)
    {
        if (PrimaryChild is not { } child) return OptionChecker.TextOf(GivenOptions["filename"]);
        return Driver.IsFormat && !hasStrongOptions && child.Node.Driver.IsProtocol ? child.Node.ExactFilename : null;
    }

    private void OnRecordedBackingChanged()
    {
        if (!IsOpened) return;   // read from the header that is being opened
        ImplicitBackingName = null;
        Graph.OnChanged();
    }
}
