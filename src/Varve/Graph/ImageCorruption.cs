namespace Varve.Graph;

/// <summary>A format found its metadata contradicting itself (QMP <c>BLOCK_IMAGE_CORRUPTED</c>).</summary>
/// <param name="Node">The image's node.</param>
/// <param name="Message">What contradicts what.</param>
/// <param name="Text">The line a tool prints.</param>
/// <param name="Offset">The host range concerned, where there is one.</param>
/// <param name="Length">Its bytes.</param>
/// <param name="IsFatal">Whether the node fails every request from now on.</param>
internal sealed record ImageCorruption(BlockNode Node, string Message, string Text, long? Offset, long? Length, bool IsFatal);

internal sealed partial class BlockGraph
{
    /// <summary>Raised on the thread of the request that found it; handlers return at once.</summary>
    public event Action<ImageCorruption>? ImageCorrupted;

    /// <summary>A line about what a format did to an image unasked, or could not do: repairs of one that was not closed cleanly.</summary>
    public event Action<string>? NoticeGiven;

    internal void OnNotice(string line) => NoticeGiven?.Invoke(line);

    internal void OnImageCorrupted(ImageCorruption corruption) => ImageCorrupted?.Invoke(corruption);
}
