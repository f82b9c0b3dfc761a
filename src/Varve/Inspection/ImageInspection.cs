namespace Varve;

/// <summary>What a look at an image's metadata found. Nothing that the image names was opened.</summary>
public sealed record ImageInspection
{
    /// <summary>The format by content: <c>qcow2</c>, <c>luks</c>, <c>raw</c>, or the name of one that is recognised only.</summary>
    public required string Format { get; init; }

    /// <summary>The worst of the findings.</summary>
    public InspectionVerdict Verdict => Findings.Count == 0 ? InspectionVerdict.Safe : Findings.Max(f => f.Verdict);

    /// <summary>What was found, worst first.</summary>
    public required IReadOnlyList<InspectionFinding> Findings { get; init; }

    /// <summary>Other files the image needs.</summary>
    public required IReadOnlyList<InspectedReference> References { get; init; }

    /// <summary>The feature bits that are set.</summary>
    public required IReadOnlyList<InspectedFeature> Features { get; init; }

    /// <summary>Bytes of the virtual disk; null where the format is not read.</summary>
    public long? VirtualSize { get; init; }

    /// <summary>Bytes of the file.</summary>
    public required long FileSize { get; init; }

    /// <summary>How much of the file was read: at most <see cref="ImageInspector.ReadLimit"/>.</summary>
    public required long BytesRead { get; init; }

    /// <summary>Whether all metadata was looked at; otherwise a finding says what was left out.</summary>
    public required bool IsComplete { get; init; }
}
