namespace Varve.Formats.Qcow2.Metadata;

/// <summary>Features that whoever opens the image must know. qcow2 specification, "incompatible_features".</summary>
[Flags]
internal enum Qcow2Incompatible : ulong
{
    None = 0,

    /// <summary>Refcounts may be wrong (lazy refcounts): rebuild them before trusting them.</summary>
    Dirty = 1 << 0,

    /// <summary>Some structure contradicts another: not to be written to until repaired.</summary>
    Corrupt = 1 << 1,

    /// <summary>Guest data lies in another file, at its guest offset.</summary>
    DataFile = 1 << 2,

    /// <summary>The header's compression type is not deflate.</summary>
    CompressionType = 1 << 3,

    /// <summary>L2 entries are 128 bits, with a map of 32 subclusters.</summary>
    ExtendedL2 = 1 << 4,

    Known = Dirty | Corrupt | DataFile | CompressionType | ExtendedL2,
}

/// <summary>Features that may be ignored. qcow2 specification, "compatible_features".</summary>
[Flags]
internal enum Qcow2Compatible : ulong
{
    None = 0,

    /// <summary>Refcounts need not be kept on disk while the image is open; <see cref="Qcow2Incompatible.Dirty"/> is set meanwhile.</summary>
    LazyRefcounts = 1 << 0,
}

/// <summary>Features whose data goes stale under a writer that does not know them. qcow2 specification, "autoclear_features".</summary>
[Flags]
internal enum Qcow2Autoclear : ulong
{
    None = 0,

    /// <summary>The bitmaps extension is consistent with the guest data.</summary>
    Bitmaps = 1 << 0,

    /// <summary>The external data file reads as a raw image.</summary>
    RawExternalData = 1 << 1,
}

/// <summary>How compressed clusters are compressed. qcow2 specification, "compression_type".</summary>
internal enum Qcow2CompressionType : byte
{
    /// <summary>Raw deflate, called zlib everywhere.</summary>
    Zlib = 0,

    Zstd = 1,
}
