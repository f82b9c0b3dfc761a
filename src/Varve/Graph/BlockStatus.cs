namespace Varve.Graph;

/// <summary>What a node knows about a range without reading it.</summary>
[Flags]
internal enum BlockStatusFlags
{
    None = 0,

    /// <summary>The node (or what it passes on to) holds data for the range.</summary>
    Data = 1,

    /// <summary>The range reads as zeros.</summary>
    Zero = 2,

    /// <summary><see cref="BlockStatus.HostOffset"/> in <see cref="BlockStatus.File"/> is where the bytes lie, as they are.</summary>
    OffsetValid = 4,

    /// <summary>This layer decides the content; nothing below it in the backing chain shows.</summary>
    Allocated = 8,

    /// <summary>The data is stored compressed.</summary>
    Compressed = 16,

    /// <summary>The range ends at the end of the node.</summary>
    EndOfFile = 32,
}

/// <summary>The status of the first <see cref="Length"/> bytes of a queried range: one run of equal status.</summary>
/// <param name="Flags">What is known.</param>
/// <param name="Length">Bytes, at least 1 unless the query began at or after the end of the node.</param>
/// <param name="HostOffset">Bytes in <paramref name="File"/>; meaningful with <see cref="BlockStatusFlags.OffsetValid"/>.</param>
/// <param name="File">The node that holds the bytes.</param>
internal readonly record struct BlockStatus(BlockStatusFlags Flags, long Length, long HostOffset = 0, BlockNode? File = null)
{
    public bool IsData => (Flags & BlockStatusFlags.Data) != 0;
    public bool IsZero => (Flags & BlockStatusFlags.Zero) != 0;
    public bool IsAllocated => (Flags & BlockStatusFlags.Allocated) != 0;
    public bool HasOffset => (Flags & BlockStatusFlags.OffsetValid) != 0;
    public bool IsCompressed => (Flags & BlockStatusFlags.Compressed) != 0;
    public bool IsEndOfFile => (Flags & BlockStatusFlags.EndOfFile) != 0;
}
