namespace Varve.Graph;

/// <summary>A moment in a format's work at which <c>blkdebug</c> can inject an error or suspend the request (QMP <c>BlkdebugEvent</c>).</summary>
/// <remarks>On the wire: the names in lower case, words joined by underscores, in this order.</remarks>
internal enum BlkdebugEvent
{
    L1Update, L1GrowAllocTable, L1GrowWriteTable, L1GrowActivateTable, L2Load, L2Update, L2UpdateCompressed, L2AllocCowRead, L2AllocWrite,
    ReadAio, ReadBackingAio, ReadCompressed, WriteAio, WriteCompressed, VmstateLoad, VmstateSave, CowRead, CowWrite, ReftableLoad,
    ReftableGrow, ReftableUpdate, RefblockLoad, RefblockUpdate, RefblockUpdatePart, RefblockAlloc, RefblockAllocHookup, RefblockAllocWrite,
    RefblockAllocWriteBlocks, RefblockAllocWriteTable, RefblockAllocSwitchTable, ClusterAlloc, ClusterAllocBytes, ClusterFree, FlushToOs,
    FlushToDisk, PwritevRmwHead, PwritevRmwAfterHead, PwritevRmwTail, PwritevRmwAfterTail, Pwritev, PwritevZero, PwritevDone,
    EmptyImagePrepare, L1ShrinkWriteTable, L1ShrinkFreeL2Clusters, CorWrite, ClusterAllocSpace, None,
}

internal abstract partial class BlockNode
{
    /// <summary>A parent says where in its work it is, before the request it is about to make on this node. Only <c>blkdebug</c> listens.</summary>
    /// <returns>Completes at once, or when a request suspended at this event is resumed.</returns>
    public virtual ValueTask DebugEventAsync(BlkdebugEvent debugEvent) => default;
}
