namespace Varve;

/// <summary>A feature bit that is set in an image.</summary>
/// <param name="Group"><c>incompatible</c>, <c>compatible</c> or <c>autoclear</c>.</param>
/// <param name="Bit">0 to 63.</param>
/// <param name="Name">Ours where we know it, else the one the image gives, else <c>bit N</c>.</param>
/// <param name="IsKnown">Whether it is one the specification names.</param>
public sealed record InspectedFeature(string Group, int Bit, string Name, bool IsKnown);
