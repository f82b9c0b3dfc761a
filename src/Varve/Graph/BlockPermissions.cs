namespace Varve.Graph;

/// <summary>What a parent does to a child node, or lets its other parents do.</summary>
/// <remarks>
/// Every edge carries two sets: what its parent needs, and what it can bear others to have. A graph change is refused when any
/// parent needs something another does not share. The words and their meaning are QMP's (<c>BlockPermission</c>).
/// </remarks>
[Flags]
internal enum BlockPermissions
{
    None = 0,

    /// <summary>Reads see a consistent view: no half-finished job shows through.</summary>
    ConsistentRead = 1,

    /// <summary>Changes what the guest sees.</summary>
    Write = 2,

    /// <summary>Writes that do not change what the guest sees: copy-on-read, streaming.</summary>
    WriteUnchanged = 4,

    /// <summary>Changes the node's length.</summary>
    Resize = 8,

    All = ConsistentRead | Write | WriteUnchanged | Resize,
}

internal static class BlockPermissionsText
{
    private static readonly (BlockPermissions Bit, string Name)[] s_names =
    [
        (BlockPermissions.ConsistentRead, "consistent read"),
        (BlockPermissions.Write, "write"),
        (BlockPermissions.WriteUnchanged, "write unchanged"),
        (BlockPermissions.Resize, "resize"),
    ];

    /// <summary>The names errors use, comma separated, in QMP's order.</summary>
    public static string Names(this BlockPermissions permissions)
        => string.Join(", ", s_names.Where(n => (permissions & n.Bit) != 0).Select(n => n.Name));
}
