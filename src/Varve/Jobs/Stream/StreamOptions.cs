namespace Varve.Jobs;

/// <summary>The arguments of <c>block-stream</c>.</summary>
/// <param name="Device">The node that receives the data (<c>device</c>): a node name.</param>
internal sealed record StreamOptions(string Device)
{
    /// <summary>Names the job. Without it the reference takes the device's name, which a node does not have: an error.</summary>
    public string? JobId { get; init; }

    /// <summary>The file name of the image that stays as backing image.</summary>
    public string? Base { get; init; }

    /// <summary>The node that stays as backing image.</summary>
    public string? BaseNode { get; init; }

    /// <summary>The lowest node whose data is copied.</summary>
    public string? Bottom { get; init; }

    /// <summary>Recorded verbatim as the backing file name of the top image.</summary>
    public string? BackingFile { get; init; }

    /// <summary>Bytes per second; 0: no limit.</summary>
    public long Speed { get; init; }

    public OnError OnError { get; init; }

    /// <summary>Names the copy-on-read filter, and makes it visible.</summary>
    public string? FilterNodeName { get; init; }

    public bool AutoFinalize { get; init; } = true;

    public bool AutoDismiss { get; init; } = true;
}
