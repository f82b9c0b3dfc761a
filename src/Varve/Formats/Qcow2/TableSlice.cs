namespace Varve.Formats.Qcow2;

/// <summary>A cached piece of an on-disk table: an L2 slice or a refcount block.</summary>
/// <remarks>Bytes and marks are read and changed under the image's table lock only.</remarks>
internal sealed class TableSlice(long host, byte[] bytes)
{
    /// <summary>Where the slice lies in the image file.</summary>
    public long Host { get; } = host;

    public byte[] Bytes { get; } = bytes;

    /// <summary>Bytes of the slice that differ from the disk: [DirtyStart, DirtyEnd).</summary>
    public int DirtyStart { get; private set; } = int.MaxValue;

    public int DirtyEnd { get; private set; }

    public bool IsDirty => DirtyStart < DirtyEnd;

    /// <summary>Holders that rely on the slice staying cached; it is not evicted while there are any.</summary>
    public int Pins;

    /// <summary>A copy of the dirty bytes is on its way to the disk; until it is there the slice is not evicted.</summary>
    public bool IsBeingWritten;

    /// <summary>Used since the eviction hand last came by.</summary>
    public bool WasUsed = true;

    /// <summary>Used since the cache was last cleaned.</summary>
    public bool WasUsedSinceCleaning = true;

    public void MarkDirty(int start, int length)
    {
        DirtyStart = Math.Min(DirtyStart, start);
        DirtyEnd = Math.Max(DirtyEnd, start + length);
    }

    public void MarkClean() => (DirtyStart, DirtyEnd) = (int.MaxValue, 0);
}
