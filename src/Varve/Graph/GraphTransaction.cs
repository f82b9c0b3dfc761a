namespace Varve.Graph;

// A change of the graph
//   1. Edits are only noted. Prepare looks at the graph as it would be, computes every permission anew, refuses conflicts, frozen
//      links and cycles, and lets drivers acquire what the new permissions need. Nothing visible has changed yet: the running
//      graph serves requests as before, and Abort only gives back what was acquired.
//   2. Commit cannot fail. It swaps edges and permissions while the affected part is drained, then drivers give up what only the
//      old state needed.
//   3. Between Prepare and Commit the control lock is held, so the graph that was checked is the graph that is changed.

/// <summary>A set of edits to the graph that happens wholly or not at all.</summary>
/// <remarks>Control plane: the caller holds <see cref="BlockGraph.ControlLock"/> from the first edit to the end.</remarks>
internal sealed class GraphTransaction(BlockGraph graph)
{
    private readonly Dictionary<BlockChild, BlockNode?> _targets = [];       // edges that move (or, null, go)
    private readonly List<BlockChild> _attached = [];                        // edges that come
    private readonly Dictionary<BlockNode, bool> _readOnly = [];             // nodes that are reopened
    private readonly Dictionary<BlockBackend, (BlockPermissions Needed, BlockPermissions Shared)> _roots = [];
    private readonly Dictionary<BlockChild, (BlockPermissions Needed, BlockPermissions Shared)> _edges = [];
    private readonly List<(BlockNode Node, BlockPermissions Needed, BlockPermissions Shared)> _prepared = [];
    private readonly List<Action> _onCommit = [];
    private readonly List<BlockChild> _parents = [];   // of the node that is looked at
    private bool _isPrepared;

    /// <summary>Adds an edge; a node parent decides its permissions, a backend brings them.</summary>
    public BlockChild Attach(IBlockParent parent, string name, ChildRole role, BlockNode node)
    {
        BlockChild edge = parent is BlockBackend backend ? backend.Root : new BlockChild(parent, name, role);
        _attached.Add(edge);
        _targets[edge] = node;
        return edge;
    }

    /// <summary>Adds an edge made by its parent with fixed permissions (a job's hold on an intermediate node).</summary>
    public void Attach(BlockChild edge, BlockNode node, BlockPermissions needed, BlockPermissions shared)
    {
        _attached.Add(edge);
        _targets[edge] = node;
        _edges[edge] = (needed, shared);
    }

    /// <summary>Removes an edge.</summary>
    public void Detach(BlockChild edge)
    {
        RefuseFrozen(edge, null);
        _targets[edge] = null;
    }

    /// <summary>Points an edge at another node.</summary>
    public void Retarget(BlockChild edge, BlockNode node)
    {
        RefuseFrozen(edge, node);
        _targets[edge] = node;
    }

    /// <summary>Points every parent of <paramref name="from"/> that <paramref name="which"/> chooses at <paramref name="to"/>.</summary>
    public void ReplaceNode(BlockNode from, BlockNode to, Func<BlockChild, bool>? which = null)
    {
        foreach (BlockChild edge in ParentsOf(from).ToList())
        {
            if (!ReferenceEquals(edge.Parent, to) && (which is null || which(edge))) Retarget(edge, to);
        }
    }

    /// <summary>Reopens a node read-only or read-write, with the children that inherit it.</summary>
    public void SetReadOnly(BlockNode node, bool readOnly)
    {
        _readOnly[node] = readOnly;
        foreach (BlockChild child in node.Children)
        {
            if (child.Node.Settings.InheritsReadOnly && (child.Role & ChildRole.Cow) == 0 && child.Node.IsReadOnly != readOnly) SetReadOnly(child.Node, readOnly);
        }
    }

    /// <summary>Changes what a backend needs and shares.</summary>
    public void SetPermissions(BlockBackend backend, BlockPermissions needed, BlockPermissions shared)
    {
        _roots[backend] = (needed, shared);
        if (!_targets.ContainsKey(backend.Root)) _targets[backend.Root] = backend.Root.Node;
    }

    /// <summary>Something to do at commit, still drained: names, cached fields, blockers.</summary>
    public void OnCommit(Action action) => _onCommit.Add(action);

    /// <summary>Checks the whole change and acquires what it needs.</summary>
    /// <exception cref="BlockException">The change is refused; nothing has happened, and <see cref="Abort"/> need not be called.</exception>
    public async ValueTask PrepareAsync(CancellationToken cancellationToken = default)
    {
        try
        {
            foreach (BlockNode node in AffectedInOrder())
            {
                (BlockPermissions needed, BlockPermissions shared) = Accumulate(node);
                bool readOnly = ReadOnlyOf(node);
                if (readOnly && (needed & (BlockPermissions.Write | BlockPermissions.WriteUnchanged)) != 0 && !node.CanBecomeWritable) RefuseWriters(node);
                foreach (BlockChild child in ChildrenOf(node))
                {
                    (BlockPermissions Needed, BlockPermissions Shared) edge = node.GetChildPermissions(child.Name, child.Role, needed, shared, readOnly);
                    if (TargetOf(child)!.Settings.ForceShare) edge.Shared = BlockPermissions.All;   // its user bears whatever others do
                    _edges[child] = edge;
                }

                if (!node.IsOpened) continue;   // being opened or closed: nothing to acquire for users it does not have
                if (needed == node.CumulativePermissions && shared == node.CumulativeShared && readOnly == node.IsReadOnly) continue;
                await node.PreparePermissionsAsync(needed, shared, readOnly, cancellationToken).ConfigureAwait(false);
                _prepared.Add((node, needed, shared));
            }

            _isPrepared = true;
        }
        catch
        {
            Abort();
            throw;
        }
    }

    /// <summary>Gives back what <see cref="PrepareAsync"/> acquired.</summary>
    public void Abort()
    {
        for (int i = _prepared.Count - 1; i >= 0; i--) _prepared[i].Node.AbortPermissions();
        _prepared.Clear();
        _isPrepared = false;
    }

    /// <summary>Drains what the change touches and makes it. Nodes that nothing refers to any more are closed afterwards.</summary>
    public async ValueTask CommitAsync()
    {
        using (await DrainedSection.BeginAsync(TouchedNodes()).ConfigureAwait(false)) Commit();
        await graph.CloseUnreferencedAsync().ConfigureAwait(false);
    }

    /// <summary>Makes the prepared change. The caller has drained what it touches.</summary>
    public void Commit()
    {
        if (!_isPrepared) throw new InvalidOperationException("A graph change is prepared before it is committed.");
        foreach ((BlockChild edge, BlockNode? target) in _targets) Move(edge, target);
        foreach ((BlockBackend backend, (BlockPermissions needed, BlockPermissions shared)) in _roots)
        {
            (backend.Permissions, backend.Shared) = (needed, shared);
        }

        foreach ((BlockChild edge, (BlockPermissions needed, BlockPermissions shared)) in _edges)
        {
            (edge.Permissions, edge.Shared) = (needed, shared);
        }

        foreach ((BlockNode node, bool readOnly) in _readOnly)
        {
            node.IsReadOnly = readOnly;
            node.Settings = node.Settings with { ReadOnly = readOnly };
        }

        foreach ((BlockNode node, BlockPermissions needed, BlockPermissions shared) in _prepared)
        {
            (node.CumulativePermissions, node.CumulativeShared) = (needed, shared);
            node.CommitPermissions();
        }

        foreach (Action action in _onCommit) action();
        graph.OnChanged();
    }

    /// <summary>The nodes whose edges or permissions change: what has to be drained.</summary>
    public IEnumerable<BlockNode> TouchedNodes()
        => _targets.Keys.SelectMany(e => new[] { e.IsAttached ? e.Node : null, e.Parent as BlockNode })
            .Concat(_targets.Values).Concat(_readOnly.Keys).OfType<BlockNode>().Where(n => n.IsOpened).Distinct();

    private static void Move(BlockChild edge, BlockNode? target)
    {
        if (edge.IsAttached)
        {
            if (ReferenceEquals(edge.Node, target)) return;
            edge.Node.RemoveParent(edge);
        }

        bool isNew = !edge.IsAttached;
        edge.Node = target!;
        target?.AddParent(edge);
        if (edge.Parent is not BlockNode parent) return;
        if (isNew) parent.AddChild(edge);
        else if (target is null) parent.RemoveChild(edge);
        else parent.OnChildrenChanged();
    }

    // ---- The graph as it would be

    private BlockNode? TargetOf(BlockChild edge) => _targets.TryGetValue(edge, out BlockNode? target) ? target : edge.Node;

    // Every change of a deep chain walks all of it: written out, these cost an object a node, and as chains of calls a dozen.
    private IEnumerable<BlockChild> ParentsOf(BlockNode node)
    {
        for (int i = 0; i < node.Parents.Count; i++)
        {
            if (ReferenceEquals(TargetOf(node.Parents[i]), node)) yield return node.Parents[i];
        }

        foreach ((BlockChild edge, BlockNode? target) in _targets)
        {
            if (ReferenceEquals(target, node) && !node.Parents.Contains(edge)) yield return edge;
        }
    }

    private IEnumerable<BlockChild> ChildrenOf(BlockNode node)
    {
        for (int i = 0; i < node.Children.Count; i++)
        {
            if (TargetOf(node.Children[i]) is not null) yield return node.Children[i];
        }

        foreach (BlockChild edge in _attached)
        {
            if (ReferenceEquals(edge.Parent, node)) yield return edge;
        }
    }

    private bool ReadOnlyOf(BlockNode node) => _readOnly.TryGetValue(node, out bool readOnly) ? readOnly : node.IsReadOnly;

    /// <summary>Every node whose permissions may change, parents before children.</summary>
    private List<BlockNode> AffectedInOrder()
    {
        var order = new List<BlockNode>();
        var state = new Dictionary<BlockNode, bool>();   // false: being visited, true: done
        IEnumerable<BlockNode> roots = _targets.Keys.Where(e => e.IsAttached).Select(e => e.Node)
            .Concat(_targets.Values.OfType<BlockNode>()).Concat(_readOnly.Keys)
            .Concat(_targets.Keys.Select(e => e.Parent).OfType<BlockNode>());
        foreach (BlockNode root in roots.ToList()) Visit(root, root);
        order.Reverse();
        return order;

        void Visit(BlockNode node, BlockNode from)
        {
            if (state.TryGetValue(node, out bool done))
            {
                if (!done) throw new BlockException(BlockErrorKind.Invalid, $"Making '{node.NodeName}' a child of '{from.NodeName}' would create a cycle");
                return;
            }

            state[node] = false;
            foreach (BlockChild child in ChildrenOf(node)) Visit(TargetOf(child)!, node);
            state[node] = true;
            order.Add(node);
        }
    }

    private (BlockPermissions Needed, BlockPermissions Shared) PermissionsOf(BlockChild edge)
        => _edges.TryGetValue(edge, out var computed) ? computed
            : edge.Parent is BlockBackend backend ? _roots.TryGetValue(backend, out var asked) ? asked : (backend.Permissions, backend.Shared)
            : (edge.Permissions, edge.Shared);

    private (BlockPermissions Needed, BlockPermissions Shared) Accumulate(BlockNode node)
    {
        BlockPermissions needed = BlockPermissions.None, shared = BlockPermissions.All;
        _parents.Clear();
        _parents.AddRange(ParentsOf(node));
        foreach (BlockChild edge in _parents)
        {
            (BlockPermissions edgeNeeded, BlockPermissions edgeShared) = PermissionsOf(edge);
            if (edge.Parent is BlockBackend) _edges[edge] = (edgeNeeded, edgeShared);
            foreach (BlockChild other in _parents)
            {
                BlockPermissions conflict = edgeNeeded & ~PermissionsOf(other).Shared;
                if (!ReferenceEquals(edge, other) && conflict != 0) RefuseConflict(node, edge, other, conflict);
            }

            needed |= edgeNeeded;
            shared &= edgeShared;
        }

        return (needed, shared);
    }

    // ---- Refusals

    private static void RefuseFrozen(BlockChild edge, BlockNode? target)
    {
        if (edge.FreezeCount == 0 || ReferenceEquals(edge.Node, target)) return;
        string from = edge.Parent is BlockNode parent ? parent.NodeName : edge.Parent.Description;
        throw new BlockException(BlockErrorKind.InUse, $"Cannot change frozen '{edge.Name}' link from '{from}' to '{edge.Node.NodeName}'")
        {
            Errno = Errno.EPERM,
        };
    }

    private static void RefuseWriters(BlockNode node)
        => throw new BlockException(BlockErrorKind.ReadOnly, node.IsReadOnly
            ? "Block node is read-only"
            : $"Read-only block node '{node.NodeName}' cannot support read-write users")
        {
            NodeName = node.NodeName,
            Errno = Errno.EPERM,
        };

    private static void RefuseConflict(BlockNode node, BlockChild needing, BlockChild refusing, BlockPermissions conflict)
        => throw new BlockException(
            BlockErrorKind.InUse,
            $"Permission conflict on node '{node.NodeName}': permissions '{conflict.Names()}' are both required by {needing.Parent.Description} "
            + $"(uses node '{node.NodeName}' as '{needing.Name}' child) and unshared by {refusing.Parent.Description} "
            + $"(uses node '{node.NodeName}' as '{refusing.Name}' child).")
        {
            NodeName = node.NodeName,
            Errno = Errno.EPERM,
        };
}
