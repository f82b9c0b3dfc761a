namespace Varve.Graph;

internal abstract partial class BlockNode
{
    /// <summary>Refuses an operation on a node that a job uses.</summary>
    public void RefuseIfBusy()
    {
        if (OperationBlockers.Count == 0) return;
        throw new BlockException(BlockErrorKind.InUse, $"Node '{NodeName}' is busy: {OperationBlockers[0]}") { NodeName = NodeName };
    }
}
