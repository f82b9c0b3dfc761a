namespace Varve;

/// <summary>A run of a disk of equal kind.</summary>
/// <param name="Offset">Guest offset in bytes.</param>
/// <param name="Length">Bytes, at least 1.</param>
/// <param name="IsZero">Reads as zeros.</param>
/// <param name="IsData">Data is stored for it; false for holes and zero clusters.</param>
/// <param name="IsPresent">Some image of the chain decides the content; false where the whole chain says nothing.</param>
/// <param name="Depth">Images below the top at which the content was found: 0 is the top.</param>
/// <param name="HostOffset">Where the bytes lie in the image's file, as they are; null when compressed, zero or unknown.</param>
public readonly record struct DiskExtent(long Offset, long Length, bool IsZero, bool IsData, bool IsPresent, int Depth, long? HostOffset);
