namespace Varve;

/// <summary>What <see cref="VirtualDisk.StreamAsync"/> does to a chain.</summary>
public sealed record StreamRequest
{
    /// <summary>The file name of the image that becomes the new backing file, matched as the chain records it; null streams everything and leaves
    /// the disk without a backing file.</summary>
    public string? Base { get; init; }

    /// <summary>What the header shall name as backing file, written verbatim; null records the base's current file name.</summary>
    /// <remarks>Give it whenever images were opened by relative name, by descriptor or through a relative protocol path: only the caller
    /// knows the name that will be right where the image is opened next. Needs <see cref="Base"/>; at most 1023 bytes.</remarks>
    public string? BackingFile { get; init; }

    /// <summary>Bytes a second; 0 is unlimited.</summary>
    public long BytesPerSecond { get; init; }
}

/// <summary>How far a job has come.</summary>
/// <param name="Offset">Bytes done.</param>
/// <param name="Length">Bytes in all; 0 until it is known.</param>
public readonly record struct JobProgress(long Offset, long Length);
