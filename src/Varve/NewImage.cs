namespace Varve;

/// <summary>What image is created.</summary>
public sealed record NewImage
{
    /// <summary><c>qcow2</c> or <c>raw</c>.</summary>
    public string Format { get; init; } = "qcow2";

    /// <summary>Bytes of the virtual disk, a multiple of 512; null takes the backing image's size.</summary>
    public long? Size { get; init; }

    /// <summary>The backing file's name, recorded as given; a relative name means: relative to the new image's directory.</summary>
    public string? BackingFile { get; init; }

    /// <summary>The backing file's format; needed with <see cref="BackingFile"/>.</summary>
    public string? BackingFormat { get; init; }

    /// <summary>Bytes of a qcow2 cluster, a power of two from 512 to 2 MiB; null means 64 KiB.</summary>
    public int? ClusterSize { get; init; }
}
