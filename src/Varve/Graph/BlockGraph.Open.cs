using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Graph;

internal sealed partial class BlockGraph
{
    private const int MaxNameLength = 31;

    /// <summary>Opens a node and its children from options (the form of <c>blockdev-add</c>). Needs <see cref="ControlLock"/>.</summary>
    /// <param name="options">Typed, or text where it came from a command line; not changed.</param>
    /// <param name="context">Whose names may be followed.</param>
    /// <param name="inherited">What the node's common options start from.</param>
    /// <param name="cancellationToken">Ends the opening.</param>
    /// <returns>The node; the caller holds a reference.</returns>
    /// <exception cref="BlockException">Nothing was opened: no node, file or lock is left behind.</exception>
    public ValueTask<BlockNode> OpenNodeAsync(
        JsonObject options, OpenContext context, NodeSettings? inherited = null, CancellationToken cancellationToken = default)
        => OpenDescribedAsync(
            null, (JsonObject)options.DeepClone(), isProtocolLayer: false, context, inherited ?? new NodeSettings(), cancellationToken);

    /// <summary>Opens an image by a name: a path, a prefixed name or <c>json:</c>. Needs <see cref="ControlLock"/>.</summary>
    /// <param name="filename">As a person gives it; null where <paramref name="options"/> say all.</param>
    /// <param name="options">More options, as text or typed; they override what a <c>json:</c> name says. <c>driver</c> is the format.</param>
    /// <param name="context">Whose names may be followed.</param>
    /// <param name="settings">How to open it: read-only, cache mode.</param>
    /// <param name="cancellationToken">Ends the opening.</param>
    /// <returns>The node; the caller holds a reference.</returns>
    /// <exception cref="BlockException">Nothing was opened. The message does not begin with the name asked for: tools put
    /// <c>Could not open 'NAME': </c> before it.</exception>
    public ValueTask<BlockNode> OpenImageAsync(
        string? filename, JsonObject? options, OpenContext context, NodeSettings settings, CancellationToken cancellationToken = default)
        => OpenDescribedAsync(
            filename, options is null ? [] : DottedKeys.Nest(options), isProtocolLayer: false, context, settings, cancellationToken);

    /// <summary>Opens an inline child or finds a referenced one; the caller holds a reference.</summary>
    internal async ValueTask<BlockNode> OpenChildNodeAsync(
        NodeOpening parent, JsonNode? description, ChildRole role, CancellationToken cancellationToken)
    {
        if (OptionChecker.TextOf(description) is { } name)
        {
            BlockNode node = LookUp(name);
            node.ExplicitReferences++;
            return node;
        }

        if (description is not JsonObject options)
        {
            throw new BlockException(BlockErrorKind.Invalid, "A child is described by its options or by the name of a node");
        }

        bool isProtocolLayer = (role & ChildRole.Cow) == 0 && (parent.Driver.IsFormat || parent.IsProtocolLayer);
        NodeSettings settings = parent.Settings.ForChild(role, parent.Driver.IsFormat);
        return await OpenDescribedAsync(null, (JsonObject)options.DeepClone(), isProtocolLayer, parent.Context, settings, cancellationToken)
            .ConfigureAwait(false);
    }

    /// <summary>The node of a name, where users may give a device's or a node's.</summary>
    /// <exception cref="BlockException">There is none.</exception>
    public BlockNode LookUp(string name)
        => FindNode(name)
           ?? throw new BlockException(BlockErrorKind.NotFound, $"Cannot find device='{name}' nor node-name='{name}'") { Errno = Errno.EINVAL };

    /// <summary>Opens what is described, once it is known which driver does it.</summary>
    private async ValueTask<BlockNode> OpenWithDriverAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        JsonObject given = (JsonObject)opening.Options.DeepClone();
        BlockNode? node = null;
        try
        {
            node = await opening.Driver.OpenAsync(opening, cancellationToken).ConfigureAwait(false);
            if (opening.Options.Count > 0) throw Leftover(opening);
            foreach (BlockChild child in node.Children) given.Remove(child.Name);
            given.Remove("backing");
            node.GivenOptions = given;
            Add(node, opening.ListedAfter);
            return node;
        }
        catch
        {
            await UndoAsync(opening, node).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Takes back a failed opening: the node's own resources, then its edges, then children only it referred to.</summary>
    private async ValueTask UndoAsync(NodeOpening opening, BlockNode? node)
    {
        try
        {
            if (node is not null) await node.CloseAsync().ConfigureAwait(false);
        }
        finally
        {
            var change = new GraphTransaction(this);
            foreach (BlockChild edge in opening.Attached.Where(e => e.IsAttached)) change.Detach(edge);
            await change.PrepareAsync(CancellationToken.None).ConfigureAwait(false);
            await change.CommitAsync().ConfigureAwait(false);
            if (opening.ProbedFile is { } probed) await ReleaseAsync(probed).ConfigureAwait(false);
        }
    }

    private static BlockException Leftover(NodeOpening opening)
    {
        string key = DottedKeys.FirstKey(opening.Options);
        return new(BlockErrorKind.Invalid, opening.Driver.IsProtocol
            ? $"Block protocol '{opening.Driver.Name}' doesn't support the option '{key}'"
            : $"Block format '{opening.Driver.Name}' does not support the option '{key}'");
    }

    /// <summary>Takes the node's name from its options, or makes one.</summary>
    private string TakeNodeName(JsonObject options)
    {
        if (!options.Remove("node-name", out JsonNode? value)) return GenerateNodeName();
        string name = OptionChecker.TextOf(value)
            ?? throw new BlockException(BlockErrorKind.Invalid, "Invalid parameter type for 'node-name', expected: string");
        CheckNodeName(name);
        return name;
    }

    /// <summary>Refuses a name for a new node that is malformed, too long or taken.</summary>
    public void CheckNodeName(string name)
    {
        string? refusal = !IsWellFormedId(name) ? $"Invalid node-name: '{name}'"
            : FindNode(name) is not null ? $"Duplicate nodes with node-name='{name}'"
            : name.Length > MaxNameLength ? "Node name too long"
            : null;
        if (refusal is not null) throw new BlockException(BlockErrorKind.Invalid, refusal);
    }

    /// <summary>Whether a name may be given by a user: a letter, then letters, digits, <c>-</c>, <c>.</c> and <c>_</c>.</summary>
    public static bool IsWellFormedId(string name)
        => name.Length > 0 && char.IsAsciiLetter(name[0]) && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_');
}
