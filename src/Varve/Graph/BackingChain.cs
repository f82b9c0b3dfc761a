namespace Varve.Graph;

/// <summary>A chain of images seen from its top: depth, and finding an image in it by file name.</summary>
internal static class BackingChain
{
    /// <summary>The next image below: what the first non-filter at or below <paramref name="node"/> is backed by, filters skipped.</summary>
    public static BlockNode? Next(BlockNode node) => node.SkipFilters().BackingChild?.Node.SkipFilters();

    /// <summary>How many backing images lie below.</summary>
    public static int Depth(BlockNode node)
    {
        int depth = 0;
        for (BlockNode? next = Next(node); next is not null; next = Next(next)) depth++;
        return depth;
    }

    /// <summary>The image below <paramref name="top"/> that <paramref name="name"/> means.</summary>
    /// <returns>The first that matches from the top down; null when none does.</returns>
    /// <remarks>
    /// A name means what the image above records: the same text, or for plain paths the same file seen from that image's
    /// directory. An image whose overlay was opened over another than it records is found only by its present name.
    /// </remarks>
    public static BlockNode? FindImage(BlockNode top, string name)
    {
        for (BlockNode overlay = top.SkipFilters(); Next(overlay) is { } below; overlay = below)
        {
            if (overlay.IsBackingOverridden ? name == below.Filename : Matches(overlay, name)) return below;
        }

        return null;
    }

    private static bool Matches(BlockNode overlay, string name)
    {
        string recorded = overlay.RecordedBackingFile ?? "";
        if (FileNames.HasPrefix(name) || FileNames.HasPrefix(recorded)) return name == recorded || name == FullName(overlay);
        if (DirectoryOf(overlay) is not { } directory) return false;
        string? asked = FileNames.RealPath(Absolute(directory, name));
        return asked is not null && asked == FileNames.RealPath(Absolute(directory, recorded));
    }

    private static string Absolute(string directory, string name) => FileNames.IsAbsolute(name) ? name : directory + name;

    private static string? FullName(BlockNode overlay)
        => DirectoryOf(overlay) is null && !FileNames.HasPrefix(overlay.RecordedBackingFile!) ? null : overlay.FullBackingFile;

    private static string? DirectoryOf(BlockNode node)
    {
        try
        {
            return node.DirectoryName;
        }
        catch (BlockException)
        {
            return null;   // only described by options: relative names mean nothing there
        }
    }
}
