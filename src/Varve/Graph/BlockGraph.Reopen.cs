using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Graph;

/// <content>Changing the options of open nodes.</content>
internal sealed partial class BlockGraph
{
    /// <summary>Changes options of a node, and of children its options describe; what is not named stays. Needs <see cref="ControlLock"/>.</summary>
    /// <param name="node">The node.</param>
    /// <param name="options">Text or typed, with dotted keys or nested; not changed.</param>
    /// <param name="cancellationToken">Ends it before the change.</param>
    /// <exception cref="BlockException">A value is refused, or an option cannot change: everything is as before.</exception>
    public async ValueTask ReopenAsync(BlockNode node, JsonObject options, CancellationToken cancellationToken = default)
    {
        var nodes = new List<ReopenedNode>();
        Collect(node, DottedKeys.Nest(options), nodes);
        using DrainedSection drained = await DrainAsync(nodes.Select(n => n.Node)).ConfigureAwait(false);
        foreach (ReopenedNode reopened in nodes)
        {
            // While its metadata can still be written.
            if (!reopened.Node.IsReadOnly) await reopened.Node.FlushAsync(cancellationToken).ConfigureAwait(false);
        }

        var change = new GraphTransaction(this);
        foreach (ReopenedNode reopened in nodes.Where(n => n.Settings.ReadOnly != n.Node.IsReadOnly)) change.SetReadOnly(reopened.Node, reopened.Settings.ReadOnly);
        await change.PrepareAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            foreach (ReopenedNode reopened in nodes)
            {
                if (reopened.Apply is { } apply) await apply(cancellationToken).ConfigureAwait(false);
            }
        }
        catch
        {
            change.Abort();
            throw;
        }

        change.Commit();
        foreach (ReopenedNode reopened in nodes)
        {
            reopened.Node.Settings = reopened.Settings;
            reopened.Node.GivenOptions = reopened.Options;
        }
    }

    private void Collect(BlockNode node, JsonObject changes, List<ReopenedNode> nodes)
    {
        foreach (BlockChild child in node.Children)
        {
            if (!changes.Remove(child.Name, out JsonNode? described)) continue;
            if (described is JsonObject inner) Collect(child.Node, inner, nodes);
            else if (OptionChecker.TextOf(described) != child.Node.NodeName) throw CannotChange(child.Name);
        }

        RequireSame(changes, "node-name", node.NodeName);
        RequireSame(changes, "driver", node.Driver.Name);
        nodes.Insert(0, ReadChanges(node, changes));
    }

    private ReopenedNode ReadChanges(BlockNode node, JsonObject changes)
    {
        var given = (JsonObject)node.GivenOptions.DeepClone();
        node.ForgetReplaced(given, changes);
        JsonObject all = Override(given, changes);
        var opening = new NodeOpening(this, node.Driver, node.NodeName, node.Settings, (JsonObject)all.DeepClone()) { Context = new OpenContext() };
        opening.TakeSettings();
        Func<CancellationToken, ValueTask>? apply = node.PrepareReopen(opening);
        foreach ((string key, JsonNode? value) in opening.Options)
        {
            if (!JsonNode.DeepEquals(value, node.GivenOptions[key])) throw CannotChange(DottedKeys.FirstKey(new JsonObject { [key] = value?.DeepClone() }));
        }

        return new ReopenedNode(node, opening.Settings, all, apply);
    }

    private static JsonObject Override(JsonObject options, JsonObject changes)
    {
        foreach ((string key, JsonNode? value) in changes)
        {
            if (value is JsonObject group && options[key] is JsonObject existing) Override(existing, group);
            else options[key] = value?.DeepClone();
        }

        return options;
    }

    private static void RequireSame(JsonObject changes, string key, string value)
    {
        if (changes.Remove(key, out JsonNode? given) && OptionChecker.TextOf(given) != value) throw CannotChange(key);
    }

    private static BlockException CannotChange(string key) => new(BlockErrorKind.Invalid, $"Cannot change the option '{key}'");

    private sealed record ReopenedNode(BlockNode Node, NodeSettings Settings, JsonObject Options, Func<CancellationToken, ValueTask>? Apply);
}
