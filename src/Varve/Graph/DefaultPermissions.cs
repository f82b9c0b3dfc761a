namespace Varve.Graph;

/// <summary>The permission rules that fit almost every edge, by its role.</summary>
/// <remarks>They match what the reference asks of its image files, so that both sides' file locks agree about who may do what.</remarks>
internal static class DefaultPermissions
{
    public static (BlockPermissions Needed, BlockPermissions Shared) Of(
        ChildRole role, BlockPermissions needed, BlockPermissions shared, bool readOnly)
    {
        if ((role & ChildRole.Filtered) != 0) return (needed, shared);
        if ((role & ChildRole.Cow) != 0) return OfBacking(needed, shared);
        return OfStorage(role, needed, shared, readOnly);
    }

    /// <summary>A backing image is only read. Whether others may change it is for our parents to bear: it shows through us.</summary>
    private static (BlockPermissions, BlockPermissions) OfBacking(BlockPermissions needed, BlockPermissions shared)
    {
        BlockPermissions bearable = BlockPermissions.ConsistentRead | BlockPermissions.WriteUnchanged;
        if ((shared & BlockPermissions.Write) != 0) bearable |= BlockPermissions.Write | BlockPermissions.Resize;
        return (needed & BlockPermissions.ConsistentRead, bearable);
    }

    /// <summary>A file with our tables in it is ours alone to write: nobody else may change or resize it under us.</summary>
    private static (BlockPermissions, BlockPermissions) OfStorage(
        ChildRole role, BlockPermissions needed, BlockPermissions shared, bool readOnly)
    {
        if ((role & ChildRole.Metadata) != 0)
        {
            needed |= BlockPermissions.ConsistentRead;
            if (!readOnly) needed |= BlockPermissions.Write | BlockPermissions.Resize;
            shared &= ~(BlockPermissions.Write | BlockPermissions.Resize);
            shared |= BlockPermissions.ConsistentRead | BlockPermissions.WriteUnchanged;
        }
        else
        {
            shared &= ~BlockPermissions.Resize;   // the data ends where the parent says
        }

        return (needed, shared);
    }
}
