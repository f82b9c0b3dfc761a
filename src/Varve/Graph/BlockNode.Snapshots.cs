using System.Text.Json.Nodes;

namespace Varve.Graph;

/// <content>Snapshots inside an image and the machine state beside the disk. Callers use <see cref="Graph.InternalSnapshots"/> and
/// <see cref="BlockBackend"/>, which find the node that has them.</content>
internal abstract partial class BlockNode
{
    /// <summary>The snapshots inside the image, oldest first; null where the format has none.</summary>
    public virtual IReadOnlyList<InternalSnapshot>? InternalSnapshots => null;

    /// <summary>QMP's <c>SnapshotInfo</c> of each snapshot inside the image; null where the format has none.</summary>
    public JsonArray? GetInternalSnapshots()
        => InternalSnapshots is { } snapshots ? new JsonArray([.. snapshots.Select(s => s.ToJson())]) : null;

    /// <summary>Keeps the present content as a snapshot. Drained only.</summary>
    /// <param name="snapshot">What to record; an empty id is chosen by the format, the disk's size is the node's.</param>
    /// <param name="cancellationToken">Honoured until the first write.</param>
    /// <returns>The snapshot as recorded; it is durable.</returns>
    public virtual ValueTask<InternalSnapshot> CreateSnapshotAsync(InternalSnapshot snapshot, CancellationToken cancellationToken)
        => throw NoSnapshots();

    /// <summary>Makes the content what it was when a snapshot was taken, its size too; the snapshot stays. Drained only.</summary>
    /// <param name="idOrName">An id, else a name.</param>
    /// <param name="cancellationToken">Honoured until the first write.</param>
    public virtual ValueTask ApplySnapshotAsync(string idOrName, CancellationToken cancellationToken) => throw NoSnapshots();

    /// <summary>Gives up a snapshot and the clusters only it uses. Drained only.</summary>
    /// <param name="id">Exactly; null: whatever id.</param>
    /// <param name="name">Exactly; null: whatever name.</param>
    /// <param name="cancellationToken">Honoured until the first write.</param>
    /// <exception cref="BlockException"><c>NotFound</c>: no snapshot has both.</exception>
    public virtual ValueTask DeleteSnapshotAsync(string? id, string? name, CancellationToken cancellationToken) => throw NoSnapshots();

    /// <summary>Shows a snapshot instead of the active content, for good; the node is read-only. Drained only.</summary>
    public virtual ValueTask LoadSnapshotAsync(InternalSnapshot snapshot, CancellationToken cancellationToken)
        => throw new BlockException(
            BlockErrorKind.Unsupported, $"Block format '{Driver.Name}' used by device '' does not support temporarily loading internal snapshots")
        {
            NodeName = NodeName,
        };

    /// <summary>Where machine state begins in the format's own addressing; 0 where it has no place for any.</summary>
    public virtual long VmStateOffset => 0;

    /// <summary>Whether the driver keeps machine state itself; otherwise its child is asked.</summary>
    protected internal virtual bool KeepsVmState => false;

    /// <summary>Reads machine state.</summary>
    /// <param name="position">Bytes from its beginning.</param>
    /// <param name="buffer">Filled; what was never written reads as zeros.</param>
    /// <param name="cancellationToken">Ends waiting.</param>
    protected internal virtual ValueTask ReadVmStateAsync(long position, Memory<byte> buffer, CancellationToken cancellationToken)
        => throw NoSnapshots();

    /// <summary>Writes machine state.</summary>
    /// <param name="position">Bytes from its beginning.</param>
    /// <param name="buffer">What is written.</param>
    /// <param name="cancellationToken">Ends waiting.</param>
    protected internal virtual ValueTask WriteVmStateAsync(long position, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
        => throw NoSnapshots();

    private BlockException NoSnapshots() => new(BlockErrorKind.Unsupported, Errno.Text(Errno.EOPNOTSUPP)) { NodeName = NodeName };
}
