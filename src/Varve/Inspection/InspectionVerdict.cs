namespace Varve;

/// <summary>What an inspection concludes; each is worse than the one before.</summary>
public enum InspectionVerdict
{
    /// <summary>A format that can be opened, nothing else is opened with it, nothing is odd about it.</summary>
    Safe,

    /// <summary>Well formed, but opening it opens other files, which the image names.</summary>
    RefersToFiles,

    /// <summary>Contradicts itself or its specification, names something that is no plain file, or expands out of proportion.</summary>
    Suspicious,

    /// <summary>Not opened by this library at all: malformed beyond use, or of a format or with a feature that is not supported.</summary>
    Refused,
}
