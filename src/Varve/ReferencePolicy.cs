namespace Varve;

/// <summary>Which files that an image names (backing files, data files) may be opened because it names them.</summary>
/// <remarks>A name inside an image is hostile until the caller says otherwise. What is opened is compared with what was allowed: a link
/// put in its place meanwhile is refused. The command-line tools follow everything, as the
/// reference does; a program that opens images of others chooses less.</remarks>
public sealed class ReferencePolicy
{
    private readonly Func<string, string?, bool> _allows;

    private ReferencePolicy(string description, Func<string, string?, bool> allows)
    {
        Description = description;
        _allows = allows;
    }

    /// <summary>No file but the one the caller named.</summary>
    public static ReferencePolicy Nothing { get; } = new("no references", (_, _) => false);

    /// <summary>Everything, as the reference does: plain paths, protocol prefixes, <c>json:</c> descriptions.</summary>
    public static ReferencePolicy Everything { get; } = new("every reference", (_, _) => true);

    /// <summary>Plain files in the directory of the image that names them; symbolic links are followed before deciding.</summary>
    public static ReferencePolicy SameDirectory { get; } = new("files in the same directory", (path, holder) =>
        holder is not null && string.Equals(Path.GetDirectoryName(path), Path.GetDirectoryName(holder), StringComparison.Ordinal));

    /// <summary>Plain files below one of the given directories; symbolic links are followed before deciding.</summary>
    /// <param name="directories">Absolute paths.</param>
    public static ReferencePolicy Roots(params IReadOnlyList<string> directories)
    {
        string[] roots = [.. directories.Select(d => RealPath(d).TrimEnd('/') + "/")];
        return new($"files below {string.Join(", ", roots)}", (path, _) => roots.Any(r => path.StartsWith(r, StringComparison.Ordinal)));
    }

    /// <summary>For messages.</summary>
    public string Description { get; }

    /// <summary>Whether a plain file may be opened because an image names it.</summary>
    /// <param name="path">Canonical; whoever opens the file makes sure that it is this one (<see cref="Graph.AllowedFile"/>).</param>
    /// <param name="holder">The canonical path of the image that holds the name, when it is a plain file.</param>
    internal bool AllowsFile(string path, string? holder) => _allows(path, holder);

    /// <summary>Whether no name is ever followed: none needs to be looked at.</summary>
    internal bool AllowsNothing => ReferenceEquals(this, Nothing);

    /// <summary>Whether names that are no plain files (protocols, <c>json:</c>) may be followed.</summary>
    internal bool AllowsAnything => ReferenceEquals(this, Everything);

    /// <inheritdoc/>
    public override string ToString() => Description;

    internal static string RealPath(string path)
    {
        string full = Path.GetFullPath(path);
        string? parent = Path.GetDirectoryName(full);
        if (parent is null) return full;
        string resolved = Path.Combine(RealPath(parent), Path.GetFileName(full));
        FileSystemInfo info = Directory.Exists(resolved) ? new DirectoryInfo(resolved) : new FileInfo(resolved);
        return info.ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? resolved;
    }
}
