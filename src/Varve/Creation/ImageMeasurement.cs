namespace Varve.Creation;

/// <summary>What a new image would take (QMP <c>BlockMeasureInfo</c>).</summary>
/// <param name="Required">Bytes that suffice for the present content.</param>
/// <param name="FullyAllocated">Bytes that suffice whatever is written later.</param>
internal sealed record ImageMeasurement(long Required, long FullyAllocated)
{
    /// <summary>Bytes for the source's persistent bitmaps, beside <see cref="Required"/>; null where source or target has none.</summary>
    public long? Bitmaps { get; init; }
}
