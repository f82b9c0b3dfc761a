namespace Varve.Graph;

/// <summary>Why a parent has a child: decides the default permissions and what shows in names and queries.</summary>
[Flags]
internal enum ChildRole
{
    /// <summary>Guest data lies here.</summary>
    Data = 1,

    /// <summary>The format's tables lie here.</summary>
    Metadata = 2,

    /// <summary>Requests pass through unchanged: the parent is a filter (or raw) and shows this child's data as its own.</summary>
    Filtered = 4,

    /// <summary>What is not allocated in the parent is read from here: a backing image.</summary>
    Cow = 8,

    /// <summary>The child that gives the parent its file name.</summary>
    Primary = 16,

    /// <summary>The usual <c>file</c> child of an image format.</summary>
    Image = Data | Metadata | Primary,
}

/// <summary>Whoever holds an edge into the graph: a node, a backend, a job.</summary>
internal interface IBlockParent
{
    /// <summary>How permission errors name it: <c>node 'top'</c>, <c>stream job 'j0'</c>, <c>an unnamed block device</c>.</summary>
    string Description { get; }
}

/// <summary>An edge of the graph: one parent's hold on one child node, with its permissions.</summary>
/// <remarks>
/// <see cref="Node"/> and the permissions change only in <see cref="GraphTransaction.Commit"/>, while every request that could
/// cross the edge is drained. That is why the request path reads them without a lock.
/// </remarks>
internal sealed class BlockChild(IBlockParent parent, string name, ChildRole role)
{
    public IBlockParent Parent { get; } = parent;

    /// <summary><c>file</c>, <c>backing</c>, <c>data-file</c>, <c>root</c>, ...</summary>
    public string Name { get; } = name;

    /// <summary>Settled once the parent has read its metadata.</summary>
    public ChildRole Role { get; internal set; } = role;

    /// <summary>The node at the lower end; null only before attaching and after detaching.</summary>
    public BlockNode Node { get; internal set; } = null!;

    public bool IsAttached => Node is not null;

    /// <summary>What the parent needs of the node.</summary>
    public BlockPermissions Permissions { get; internal set; }

    /// <summary>What the parent lets other parents of the node have.</summary>
    public BlockPermissions Shared { get; internal set; } = BlockPermissions.All;

    /// <summary>How many jobs or filters forbid that this edge points elsewhere.</summary>
    public int FreezeCount { get; internal set; }

    public override string ToString() => $"{Parent.Description} -{Name}-> {Node.NodeName}";
}
