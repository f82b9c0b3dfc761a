using System.Text;

namespace Varve.Formats.Qcow2.Metadata;

// Rewriting the header cluster: at every instant it is the old header or the new one
//   A power loss keeps or loses each 512-byte sector on its own. All fields, the name's offset and size among them, lie in sector 0;
//   extensions follow the fixed header directly, and the name follows them, so both may reach into further sectors (the "tail").
//   1. What a reader sees is decided by sector 0 and by the tail bytes it leads to, and by nothing else: bytes behind the end marker
//      that are not the name are never looked at.
//   2. A step from one arrangement to the next first writes a tail that serves both (WithTailOf: where the old one looks, nothing
//      changes), makes it durable, and then writes sector 0. Before sector 0 is on disk every mix of old and new tail sectors reads
//      as the old header; after it, the tail it needs is already durable. Sector 0 itself is one sector: old or new.
//   3. A step is possible when the two arrangements agree on every tail byte that both look at. The name is free to lie anywhere
//      behind the extensions, so it is put where the old name is not. Extensions that move are first read through a skip (an
//      extension that leads past the old ones), still with the old name: two steps, and only the last one changes what is recorded.
//   4. Where the cluster has no room for two arrangements side by side the rewrite is refused: no room is better than a torn header.
//      That takes clusters of 1 or 2 KiB and two names of hundreds of bytes.

/// <summary>Plans how a header cluster gets another backing file name and format, or another version.</summary>
internal static class HeaderRewrite
{
    /// <summary>The longest backing format that readers accept.</summary>
    public const int MaxFormatSize = 15;

    /// <summary>The arrangements to go through, the last one being the new header; before it the recorded names are the old ones.</summary>
    /// <param name="current">The header cluster on disk.</param>
    /// <param name="backingFile">Recorded verbatim; null: none.</param>
    /// <param name="backingFormat">Null: none.</param>
    /// <exception cref="BlockException"><c>Invalid</c>: too long; <c>NoSpace</c>: the header cluster has no room.</exception>
    public static IReadOnlyList<HeaderLayout> Plan(HeaderCluster current, string? backingFile, string? backingFormat)
    {
        byte[] name = Encoding.UTF8.GetBytes(backingFile ?? "");
        byte[]? format = backingFormat is null ? null : Encoding.UTF8.GetBytes(backingFormat);
        if (name.Length > Qcow2Header.MaxBackingFileSize || format?.Length > MaxFormatSize) throw BlockException.FromErrno(Errno.EINVAL);

        return Plan(current, WithFormat(current, format), name);
    }

    /// <summary>The arrangements to go through until the header has an extension with other data, or none of that type.</summary>
    /// <param name="current">The header cluster on disk.</param>
    /// <param name="type">The extension's.</param>
    /// <param name="data">Null: none.</param>
    /// <exception cref="BlockException"><c>NoSpace</c>: the header cluster has no room.</exception>
    public static IReadOnlyList<HeaderLayout> PlanExtension(HeaderCluster current, uint type, byte[]? data)
    {
        var extensions = current.Extensions.Where(e => e.Type != HeaderLayout.Skip).ToList();
        int index = extensions.FindIndex(e => e.Type == type);
        extensions.RemoveAll(e => e.Type == type);
        if (data is not null) extensions.Insert(index < 0 ? extensions.Count : index, new HeaderExtension(type, data));
        try
        {
            return Plan(current, extensions, current.BackingFileBytes);
        }
        catch (BlockException e) when (e.Kind == BlockErrorKind.NoSpace && extensions.Exists(x => x.Type == HeaderExtension.FeatureNameTable))
        {
            // Small clusters have no room for the names of features, which are a convenience.
            extensions.RemoveAll(x => x.Type == HeaderExtension.FeatureNameTable);
            return Plan(current, extensions, current.BackingFileBytes);
        }
    }

    /// <summary>The arrangements to go through until the fixed header is another one, of another version too; names stay.</summary>
    /// <param name="current">The header cluster on disk.</param>
    /// <param name="header">The new fixed header.</param>
    /// <exception cref="BlockException"><c>NoSpace</c>: the header cluster has no room.</exception>
    public static IReadOnlyList<HeaderLayout> PlanVersion(HeaderCluster current, Qcow2Header header)
    {
        byte[] bytes = new byte[current.Bytes.Length];
        (header with { BackingFile = HostOffset.None, BackingFileSize = 0 }).WriteTo(bytes);
        HeaderCluster.TryRead(bytes, out HeaderCluster? shape)?.Throw("");
        List<HeaderExtension> extensions = [.. current.Extensions.Where(e => e.Type is not (HeaderLayout.Skip or HeaderExtension.FeatureNameTable))];
        if (FeatureNameTable.ForNewImage(header.Version, header.ClusterSize) is { } table)
        {
            try
            {
                return Plan(current, [.. extensions, table], current.BackingFileBytes, shape);
            }
            catch (BlockException e) when (e.Kind == BlockErrorKind.NoSpace)
            {
                // The names of features are a convenience.
            }
        }

        return Plan(current, extensions, current.BackingFileBytes, shape);
    }

    private static IReadOnlyList<HeaderLayout> Plan(
        HeaderCluster current, List<HeaderExtension> extensions, ReadOnlyMemory<byte> name, HeaderCluster? shape = null)
    {
        HeaderLayout old = HeaderLayout.Of(current);
        List<HeaderLayout> targets = Targets(shape ?? current, old, extensions, name);
        if (targets.Find(old.CanShareTailWith) is { } direct) return [direct];
        foreach (HeaderLayout target in targets)
        {
            HeaderLayout? between = Detours(current, old, target).FirstOrDefault(d => old.CanShareTailWith(d) && d.CanShareTailWith(target));
            if (between is not null) return [between, target];
        }

        throw BlockException.FromErrno(Errno.ENOSPC);
    }

    /// <summary>The extensions of the new header: the others as they are and where they are, the format in its old place or first.</summary>
    private static List<HeaderExtension> WithFormat(HeaderCluster current, byte[]? format)
    {
        var extensions = current.Extensions.Where(e => e.Type != HeaderLayout.Skip).ToList();
        int index = extensions.FindIndex(e => e.Type == HeaderExtension.BackingFormat);
        extensions.RemoveAll(e => e.Type == HeaderExtension.BackingFormat);
        if (format is not null) extensions.Insert(Math.Max(index, 0), new HeaderExtension(HeaderExtension.BackingFormat, format));
        return extensions;
    }

    /// <summary>The new header with its name in the usual place, behind everything the old one uses, and at the cluster's end.</summary>
    private static List<HeaderLayout> Targets(
        HeaderCluster current, HeaderLayout old, List<HeaderExtension> extensions, ReadOnlyMemory<byte> name)
    {
        int behindOld = (int)Align.Up(old.End, 8);
        int last = (int)Align.Down(current.Bytes.Length - name.Length, 8);
        return [.. new[] { 0, behindOld, last }.Select(at => HeaderLayout.TryArrange(current, extensions, name, at)).OfType<HeaderLayout>()];
    }

    /// <summary>The old names in other places: extensions behind both headers, or without the feature name table, which is a convenience.</summary>
    private static IEnumerable<HeaderLayout> Detours(HeaderCluster current, HeaderLayout old, HeaderLayout target)
    {
        List<HeaderExtension> all = current.Extensions.Where(e => e.Type != HeaderLayout.Skip).ToList();
        List<HeaderExtension> withoutTable = all.Where(e => e.Type != HeaderExtension.FeatureNameTable).ToList();
        int behindBoth = (int)Align.Up(Math.Max(old.End, target.End), 8);
        int last = (int)Align.Down(current.Bytes.Length - current.BackingFileBytes.Length, 8);
        return new[]
        {
            HeaderLayout.TryArrange(current, all, current.BackingFileBytes, skipTo: behindBoth),
            HeaderLayout.TryArrange(current, withoutTable, current.BackingFileBytes),
            HeaderLayout.TryArrange(current, withoutTable, current.BackingFileBytes, nameAt: behindBoth),
            HeaderLayout.TryArrange(current, withoutTable, current.BackingFileBytes, nameAt: last),
        }.OfType<HeaderLayout>();
    }
}
