namespace Varve.Jobs;

/// <summary>The arguments of <c>block-commit</c>.</summary>
/// <param name="Device">The root of the chain (<c>device</c>): a node name.</param>
internal sealed record CommitOptions(string Device)
{
    /// <summary>Names the job. Without it the reference takes the device's name, which a node does not have: an error.</summary>
    public string? JobId { get; init; }

    /// <summary>The node that receives the data; null: the last image of the chain.</summary>
    public string? BaseNode { get; init; }

    /// <summary>The file name of the image that receives the data.</summary>
    public string? Base { get; init; }

    /// <summary>The uppermost node whose data is copied; null: the active layer.</summary>
    public string? TopNode { get; init; }

    /// <summary>The file name of the uppermost image whose data is copied.</summary>
    public string? Top { get; init; }

    /// <summary>Recorded verbatim as the backing file name of the image above top.</summary>
    public string? BackingFile { get; init; }

    /// <summary>Bytes per second; 0: no limit.</summary>
    public long Speed { get; init; }

    public OnError OnError { get; init; }

    /// <summary>Names the filter above top, and makes it visible.</summary>
    public string? FilterNodeName { get; init; }

    public bool AutoFinalize { get; init; } = true;

    public bool AutoDismiss { get; init; } = true;
}
