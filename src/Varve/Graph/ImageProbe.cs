namespace Varve.Graph;

/// <summary>Guesses an image's format from its first bytes.</summary>
internal static class ImageProbe
{
    /// <summary>How many bytes drivers get to see.</summary>
    public const int HeadLength = 2048;

    /// <summary>Where a guessed raw image watches what is written: a header of another format begins in here.</summary>
    public const int GuardedLength = 512;

    private const string Raw = "raw";

    /// <summary>The driver that is surest; <c>raw</c> when none is, null when the graph does not know even that.</summary>
    public static BlockDriver? Guess(BlockDrivers drivers, ReadOnlySpan<byte> head, string? filename)
    {
        BlockDriver? best = drivers.Find(Raw);
        int bestScore = 0;
        foreach (BlockDriver driver in drivers.All)
        {
            int score = driver.Probe(head, filename);
            if (score > bestScore) (best, bestScore) = (driver, score);
        }

        return best;
    }

    /// <summary>Whether a raw image with these first bytes would be taken for something else the next time it is opened.</summary>
    public static bool LooksLikeAnotherFormat(BlockDrivers drivers, ReadOnlySpan<byte> head)
        => Guess(drivers, head, filename: null) is { } driver && driver.Name != Raw;

    /// <summary>What is said to whoever let a writable image be guessed raw.</summary>
    public static string RawWarning(string filename)
        => $"""
            Image format was not specified for '{filename}' and probing guessed raw.
                     Automatically detecting the format is dangerous for raw images, write operations on block 0 will be restricted.
                     Specify the 'raw' format explicitly to remove the restrictions.
            """;
}
