using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Varve.Graph;

// What always holds for a node
//   1. Children, permissions, IsReadOnly and the name change only on the control plane (BlockGraph.ControlLock held), and those
//      that the request path reads change only while every backend that can reach the node is drained.
//   2. Requests reach a node through a BlockBackend, or through a BlockChild of a node that is serving one. So when all backends
//      above a node are drained and idle, no request is in the node.
//   3. A node lives while something refers to it: a parent edge, or an explicit reference (the monitor, an opened handle).

/// <summary>A vertex of the block graph: one opened format, protocol or filter.</summary>
/// <remarks>Drivers derive from it and override the <c>...CoreAsync</c> members; everybody else calls the plain ones.</remarks>
internal abstract partial class BlockNode : IBlockParent
{
    private readonly List<BlockChild> _children = [];
    private readonly List<BlockChild> _parents = [];
    private volatile bool _isBacking;

    protected BlockNode(NodeOpening opening)
    {
        Graph = opening.Graph;
        Driver = opening.Driver;
        NodeName = opening.NodeName;
        IsReadOnly = opening.Settings.ReadOnly;
        Settings = opening.Settings;
    }

    public BlockGraph Graph { get; }

    public BlockDriver Driver { get; }

    /// <summary>Unique in its graph: given by the user, or generated (<c>#block123</c>).</summary>
    public string NodeName { get; }

    /// <summary>The driver-independent options the node was opened with.</summary>
    public NodeSettings Settings { get; internal set; }

    /// <summary>Whether writes are refused. Changes by reopening only.</summary>
    public bool IsReadOnly { get; internal set; }

    /// <summary>Bytes the node shows. Requests of a backend end inside it; nodes below may be read past it (zeros) and grown.</summary>
    public abstract long Length { get; }

    /// <summary>Requests that reach the driver are multiples of this, a power of two; others are widened here. 1 for most.</summary>
    public virtual int RequestAlignment => 1;

    /// <summary>Bytes of a cluster, or 0 where the format has none.</summary>
    public virtual int ClusterSize => 0;

    /// <summary>Bytes of the smallest part that a format allocates or not; the cluster's where it has no smaller. Copy-on-read rounds to it.</summary>
    public virtual int SubclusterSize => ClusterSize;

    /// <summary>Whether a write may as well come as several that end at multiples of <paramref name="length"/>, a power of two: nobody on its way counts
    /// requests or looks at them as a whole, and none of the pieces does what the whole would not.</summary>
    public bool TakesPieces(int length) => Settings.DetectZeroes == DetectZeroesMode.Off && TakesPiecesCore(length);

    /// <summary>As <see cref="TakesPieces"/>, as far as it is the driver's to say.</summary>
    protected virtual bool TakesPiecesCore(int length) => false;

    /// <summary>Whether <see cref="WriteFlags.Compressed"/> means something here; what is written with it is a whole cluster, or several.</summary>
    public bool SupportsCompressedWrites => SkipFilters().Driver.SupportsCompressedWrites;

    public IReadOnlyList<BlockChild> Children => _children;

    public IReadOnlyList<BlockChild> Parents => _parents;

    string IBlockParent.Description => $"node '{NodeName}'";

    /// <summary>Whether the node is in its graph: false while it is being opened and once it is closed.</summary>
    public bool IsOpened { get; internal set; }

    /// <summary>Whether there is something to read and write: false for a drive without a disc.</summary>
    public virtual bool HasMedium => true;

    /// <summary>Whether a node that is read-only now opens for writing when a parent needs it (<c>auto-read-only</c>).</summary>
    public virtual bool CanBecomeWritable => false;

    /// <summary>References that are not parent edges: the monitor's, an opened handle's.</summary>
    public int ExplicitReferences { get; internal set; }

    /// <summary>Whether <c>blockdev-add</c> (or the command line) made it, so that <c>blockdev-del</c> may remove it.</summary>
    public bool IsMonitorOwned { get; internal set; }

    /// <summary>Inserted by a job without a name from the user: hidden from device queries and transparent for file names.</summary>
    public bool IsImplicit { get; internal set; }

    /// <summary>What the node's parents need of it, all together.</summary>
    public BlockPermissions CumulativePermissions { get; internal set; }

    /// <summary>What every parent of the node shares.</summary>
    public BlockPermissions CumulativeShared { get; internal set; } = BlockPermissions.All;

    /// <summary>Reasons (job descriptions) why operations on this node are refused, newest last; empty when none.</summary>
    public List<string> OperationBlockers { get; } = [];

    public BlockChild? FindChild(string name) => _children.Find(c => c.Name == name);

    /// <summary>The child whose data this filter shows as its own; null for everything that is no filter.</summary>
    public BlockChild? FilteredChild => Driver.IsFilter ? _children.Find(c => (c.Role & ChildRole.Filtered) != 0) : null;

    /// <summary>The backing edge, where unallocated ranges are read from; null at the end of a chain.</summary>
    public BlockChild? BackingChild { get; internal set; }

    /// <summary>The edge towards the next node of the chain, be it a backing image or what a filter filters.</summary>
    public BlockChild? ChainChild => FilteredChild ?? BackingChild;

    /// <summary>The child that names the node and holds its bytes.</summary>
    public BlockChild? PrimaryChild => _children.Find(c => (c.Role & ChildRole.Primary) != 0);

    /// <summary>This node, or the first node below it that is no filter.</summary>
    public BlockNode SkipFilters()
    {
        BlockNode node = this;
        while (node.FilteredChild is { } child) node = child.Node;
        return node;
    }

    /// <summary>This node, or the first node below it that is no implicitly inserted filter.</summary>
    public BlockNode SkipImplicitFilters()
    {
        BlockNode node = this;
        while (node.IsImplicit && node.FilteredChild is { } child) node = child.Node;
        return node;
    }

    /// <summary>Whether <paramref name="other"/> is this node or can be reached downwards from it.</summary>
    public bool Reaches(BlockNode other)
        => ReferenceEquals(this, other) || _children.Exists(c => c.Node.Reaches(other));

    // ---- What drivers decide about the graph

    /// <summary>What an edge needs and shares, given what this node's own parents need and share.</summary>
    /// <remarks>The default rules are those of <see cref="DefaultPermissions"/>; filters and formats seldom need others.</remarks>
    public virtual (BlockPermissions Needed, BlockPermissions Shared) GetChildPermissions(
        string name, ChildRole role, BlockPermissions needed, BlockPermissions shared, bool readOnly)
        => DefaultPermissions.Of(role, needed, shared, readOnly);

    /// <summary>First half of a change of permissions or of <see cref="IsReadOnly"/>: acquire what the new state needs (locks, a
    /// descriptor open for writing) without giving up what the old one needs. Throws to refuse.</summary>
    public virtual ValueTask PreparePermissionsAsync(
        BlockPermissions needed, BlockPermissions shared, bool readOnly, CancellationToken cancellationToken) => default;

    /// <summary>Second half: the change is made; give up what only the old state needed. Does not throw.</summary>
    public virtual void CommitPermissions() { }

    /// <summary>Second half: the change is not made; give up what only the new state needed. Does not throw.</summary>
    public virtual void AbortPermissions() { }

    /// <summary>Takes the options that can change while the node is open from <paramref name="opening"/>, and checks them.</summary>
    /// <param name="opening">Holds all options, changed or not; what is left of them must not have changed.</param>
    /// <returns>Makes the change, while the node is drained, or throws and leaves the node as it was; null where there is nothing to make.</returns>
    public virtual Func<CancellationToken, ValueTask>? PrepareReopen(NodeOpening opening) => null;

    /// <summary>Removes options given earlier that <paramref name="changes"/> takes the place of under another name.</summary>
    /// <param name="given">The options until now; changed.</param>
    /// <param name="changes">Those that a reopening names.</param>
    public virtual void ForgetReplaced(JsonObject given, JsonObject changes) { }

    /// <summary>A drained section begins: let go requests that are held back (throttled, waiting for a reconnect).</summary>
    public virtual void OnDrainBegin() { }

    /// <summary>Something beside requests that must come to rest in a drained section: work that a request left behind. Null when at rest.</summary>
    public virtual Task? DrainPoll() => null;

    /// <summary>The drained section has ended.</summary>
    public virtual void OnDrainEnd() { }

    /// <summary>Called after each change of the children, while drained: drivers that keep edges in fields refresh them here.</summary>
    public virtual void OnChildrenChanged() { }

    /// <summary>Writes back what is cached and releases the node's own resources; children are detached afterwards by the graph.</summary>
    public virtual ValueTask CloseAsync() => default;

    // ---- Edges; called by GraphTransaction.Commit and by opening only

    internal void AddChild(BlockChild child)
    {
        Debug.Assert(ReferenceEquals(child.Parent, this));
        _children.Add(child);
        if ((child.Role & ChildRole.Cow) != 0) BackingChild = child;
        OnChildrenChanged();
    }

    internal void RemoveChild(BlockChild child)
    {
        _children.Remove(child);
        if (ReferenceEquals(BackingChild, child)) BackingChild = null;
        OnChildrenChanged();
    }

    internal void AddParent(BlockChild edge)
    {
        _parents.Add(edge);
        OnParentsChanged();
    }

    internal void RemoveParent(BlockChild edge)
    {
        _parents.Remove(edge);
        OnParentsChanged();
    }

    private void OnParentsChanged() => _isBacking = _parents.Exists(e => (e.Role & ChildRole.Cow) != 0);

    /// <summary>Drivers call it when what they have of their content, as against what they leave to their backing image, has changed.</summary>
    protected void OnAllocationChanged()
    {
        if (_isBacking) Graph.OnChainChanged();
    }

    public override string ToString() => $"{NodeName} ({Driver.Name})";
}
