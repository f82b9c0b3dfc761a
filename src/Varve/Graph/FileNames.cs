namespace Varve.Graph;

/// <summary>What file names mean: prefixes, directories, and how a name inside an image is resolved.</summary>
internal static class FileNames
{
    /// <summary>The prefix of a name that is a description of a node, not a path.</summary>
    public const string JsonPrefix = "json:";

    /// <summary>The longest name an image node shows; beyond it the text is cut and ends in dots, as the reference does.</summary>
    public const int MaxLength = 4096;

    /// <summary>Whether a colon comes before any slash: <c>nbd://host</c>, <c>file:x</c>, but not <c>./a:b</c>.</summary>
    public static bool HasPrefix(string name) => name.AsSpan().IndexOfAny(':', '/') is var i && i >= 0 && name[i] == ':';

    /// <summary>What stands before the colon; null for a plain path.</summary>
    public static string? PrefixOf(string name) => HasPrefix(name) ? name[..name.IndexOf(':', StringComparison.Ordinal)] : null;

    public static bool IsJson(string name) => name.StartsWith(JsonPrefix, StringComparison.Ordinal);

    public static bool IsAbsolute(string name) => name.StartsWith('/');

    /// <summary>The part of a name up to and including its last slash, or its prefix: what relative names are appended to.</summary>
    public static string DirectoryOf(string name)
    {
        int start = HasPrefix(name) ? name.IndexOf(':', StringComparison.Ordinal) + 1 : 0;
        int slash = name.LastIndexOf('/');
        return name[..(slash >= start ? slash + 1 : start)];
    }

    /// <summary>The name of a file that an image names, seen from where the image's own name is seen.</summary>
    /// <param name="holder">The name of the image that holds the other name.</param>
    /// <param name="name">Recorded in it.</param>
    /// <returns>Absolute and prefixed names as they are; others in the directory of <paramref name="holder"/>.</returns>
    /// <exception cref="BlockException">The holder is a <c>json:</c> description, which has no directory.</exception>
    public static string Resolve(string holder, string name)
    {
        if (HasPrefix(name) || IsAbsolute(name)) return name;
        if (IsJson(holder)) throw new BlockException(BlockErrorKind.Invalid, $"Cannot use relative backing file names for '{holder}'");
        return DirectoryOf(holder) + name;
    }

    /// <summary>The canonical path of an existing file, every symbolic link on the way resolved; null when there is none.</summary>
    public static string? RealPath(string path) => CanonicalPath(path) is { } real && Path.Exists(real) ? real : null;

    /// <summary>The canonical path of a file that need not exist; null where there can be none.</summary>
    public static string? CanonicalPath(string path)
    {
        try
        {
            return ReferencePolicy.RealPath(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return null;   // a loop of links, a directory that may not be searched, a name with a null byte: not a file
        }
    }
}
