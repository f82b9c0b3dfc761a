using Varve.Bitmaps;

namespace Varve.Graph;

/// <content>Dirty bitmaps. Callers use <see cref="BitmapOperations"/>.</content>
internal abstract partial class BlockNode
{
    /// <summary>The node's dirty bitmaps.</summary>
    public NodeBitmaps Bitmaps { get; } = new();

    /// <summary>Whether the format can store bitmaps, in this image as it is.</summary>
    public virtual bool SupportsPersistentBitmaps => false;

    /// <summary>Refuses a bitmap that the image could not store when it is closed.</summary>
    /// <param name="name">The new bitmap's.</param>
    /// <param name="granularity">Bytes a bit stands for.</param>
    /// <param name="cancellationToken">Ends waiting.</param>
    public virtual ValueTask CheckNewPersistentBitmapAsync(string name, long granularity, CancellationToken cancellationToken)
        => throw new BlockException(BlockErrorKind.Unsupported, $"Can't store persistent bitmaps to {NodeName}: {Errno.Text(Errno.EOPNOTSUPP)}")
        {
            NodeName = NodeName,
        };

    /// <summary>A persistent bitmap is about to change: the image says so, durably, before it does.</summary>
    public virtual ValueTask BeforeBitmapChangeAsync(CancellationToken cancellationToken) => default;

    /// <summary>Removes a bitmap that the image stores, durably; nothing where it stores none of that name.</summary>
    public virtual ValueTask RemovePersistentBitmapAsync(string name, CancellationToken cancellationToken) => default;

    private async ValueTask ResizeWithBitmapsAsync(long length, PreallocationMode preallocation, CancellationToken cancellationToken)
    {
        await ResizeCoreAsync(length, preallocation, cancellationToken).ConfigureAwait(false);
        Bitmaps.Resize(Length);
    }

    /// <summary>A range may have changed.</summary>
    private void MarkDirty(long offset, long length)
    {
        if (Bitmaps.Marked is not { } bitmaps) return;
        foreach (DirtyBitmap bitmap in bitmaps) bitmap.Mark(offset, length);
    }
}
