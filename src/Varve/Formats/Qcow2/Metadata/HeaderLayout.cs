namespace Varve.Formats.Qcow2.Metadata;

/// <summary>One way to arrange a header cluster: its bytes, and which of them a reader of this arrangement looks at.</summary>
/// <remarks>What is not in <see cref="Used"/> is never interpreted: it may hold anything, another arrangement's bytes included.</remarks>
internal sealed class HeaderLayout
{
    /// <summary>Marks bytes to be skipped on the way to extensions further back; lives only while a header is being rewritten.</summary>
    public const uint Skip = 0x736B_6970;     // "skip"

    private HeaderLayout(byte[] bytes, List<Range> used)
    {
        Bytes = bytes;
        Used = used;
    }

    public byte[] Bytes { get; }

    public IReadOnlyList<Range> Used { get; }

    /// <summary>The byte behind everything this arrangement uses.</summary>
    public int End => Used.Max(r => r.End.Value);

    /// <summary>A header cluster as it is.</summary>
    public static HeaderLayout Of(HeaderCluster cluster)
    {
        var used = new List<Range> { ..cluster.AreaEnd };
        int name = (int)cluster.Header.BackingFile.Value;
        if (cluster.Header.BackingFileSize > 0) used.Add(name..(name + cluster.Header.BackingFileSize));
        return new HeaderLayout(cluster.Bytes, used);
    }

    /// <summary>Arranges extensions and a name behind the fixed header of <paramref name="cluster"/>.</summary>
    /// <param name="cluster">Gives the fixed header, fields unknown to us included.</param>
    /// <param name="extensions">In this order.</param>
    /// <param name="name">The backing file name; empty: none.</param>
    /// <param name="nameAt">Where the name begins at the earliest; it never begins before the end of the extensions.</param>
    /// <param name="skipTo">where the extensions begin, through a skip; 0: directly behind the header.</param>
    /// <returns>Null when the cluster is too small.</returns>
    public static HeaderLayout? TryArrange(
        HeaderCluster cluster, IReadOnlyList<HeaderExtension> extensions, ReadOnlyMemory<byte> name, int nameAt = 0, int skipTo = 0)
    {
        byte[] bytes = new byte[cluster.Bytes.Length];
        int offset = cluster.Header.HeaderLength;
        cluster.Bytes.AsSpan(0, offset).CopyTo(bytes);
        var used = new List<Range>();
        int start = 0;
        if (skipTo > 0)
        {
            int skip = skipTo - offset - HeaderExtension.PrefixSize;
            if (skip < 0 || skipTo > bytes.Length) return null;
            new HeaderExtension(Skip, new byte[skip]).WriteTo(bytes.AsSpan(offset));
            used.Add(..(offset + HeaderExtension.PrefixSize));
            start = offset = skipTo;
        }

        foreach (HeaderExtension extension in extensions)
        {
            if (extension.EncodedSize > bytes.Length - offset) return null;
            offset += extension.WriteTo(bytes.AsSpan(offset));
        }

        offset += HeaderExtension.PrefixSize;     // the end marker: zeros
        if (offset > bytes.Length) return null;
        used.Add(start..offset);
        nameAt = Math.Max(nameAt, offset);
        if (name.Length > bytes.Length - nameAt) return null;
        name.CopyTo(bytes.AsMemory(nameAt));
        if (!name.IsEmpty) used.Add(nameAt..(nameAt + name.Length));
        Qcow2Header header = cluster.Header with
        {
            BackingFile = name.IsEmpty ? HostOffset.None : new(nameAt),
            BackingFileSize = name.Length,
        };
        header.WriteTo(bytes);
        return new HeaderLayout(bytes, used);
    }

    /// <summary>Whether both arrangements can lie on disk at once outside the first sector: where both look, they see the same.</summary>
    public bool CanShareTailWith(HeaderLayout other)
    {
        foreach (Range a in Used)
        {
            foreach (Range b in other.Used)
            {
                int from = Math.Max(Align.SectorSize, Math.Max(a.Start.Value, b.Start.Value));
                int to = Math.Min(a.End.Value, b.End.Value);
                if (from < to && !Bytes.AsSpan(from..to).SequenceEqual(other.Bytes.AsSpan(from..to))) return false;
            }
        }

        return true;
    }

    /// <summary>This arrangement's bytes with those that <paramref name="next"/> looks at, outside the first sector, put over them.</summary>
    public byte[] WithTailOf(HeaderLayout next)
    {
        byte[] bytes = (byte[])Bytes.Clone();
        foreach (Range range in next.Used)
        {
            int from = Math.Max(Align.SectorSize, range.Start.Value);
            if (from < range.End.Value) next.Bytes.AsSpan(from..range.End.Value).CopyTo(bytes.AsSpan(from));
        }

        return bytes;
    }

    /// <summary>This arrangement as it lies on disk after <paramref name="previous"/>, whose bytes stay where this one does not look.</summary>
    public HeaderLayout Over(HeaderLayout previous)
    {
        byte[] bytes = previous.WithTailOf(this);
        Bytes.AsSpan(0, Align.SectorSize).CopyTo(bytes);
        return new HeaderLayout(bytes, [.. Used]);
    }
}
