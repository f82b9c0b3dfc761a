namespace Varve.Graph;

/// <summary>Finds an image of a chain by a file name, by the reference's rules.</summary>
internal static class BackingNames
{
    /// <summary>The first image below <paramref name="top"/> that <paramref name="name"/> names; null when none does.</summary>
    /// <remarks>
    /// At each image the name is compared with the backing image's: with its present name alone where the caller chose it himself; with
    /// the recorded name, or what it resolves to, where one of the two has a prefix; else as paths, both seen from the image's directory.
    /// </remarks>
    public static BlockNode? FindBackingImage(BlockNode top, string name)
    {
        for (BlockNode image = top.SkipFilters(); image.BackingChild is { } link; image = link.Node.SkipFilters())
        {
            BlockNode backing = link.Node.SkipFilters();
            if (image.IsBackingOverridden)
            {
                if (name == backing.Filename) return backing;
            }
            else if (Names(image, name))
            {
                return backing;
            }
        }

        return null;
    }

    private static bool Names(BlockNode image, string name)
    {
        string recorded = image.RecordedBackingFile ?? "";
        try
        {
            if (FileNames.HasPrefix(name) || FileNames.HasPrefix(recorded)) return name == recorded || name == image.FullBackingFile;
            return FileNames.RealPath(FileNames.IsAbsolute(name) ? name : image.DirectoryName + name) is { } wanted
                && FileNames.RealPath(image.FullBackingFile ?? "") == wanted;
        }
        catch (BlockException)
        {
            return false;   // an image without a directory: nothing relative can be meant
        }
    }
}
