namespace Varve;

/// <summary>What an inspection may take for granted.</summary>
public sealed record InspectionOptions
{
    /// <summary>The format the image will be opened as; content that looks like another one is a finding. Null: found out.</summary>
    public string? Format { get; init; }

    /// <summary>The largest virtual disk that is not a finding.</summary>
    public long MaxVirtualSize { get; init; } = long.MaxValue;
}
