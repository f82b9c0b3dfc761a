namespace Varve.Graph;

/// <summary>What happens to runs of zeros a guest writes as data (<c>detect-zeroes</c>).</summary>
internal enum DetectZeroesMode { Off, On, Unmap }

/// <summary>How much of new space is made ready at once (QMP <c>PreallocMode</c>).</summary>
internal enum PreallocationMode { Off, Metadata, Falloc, Full }

internal static class PreallocationModeText
{
    /// <summary>QMP's word.</summary>
    public static string Word(this PreallocationMode mode) => mode switch
    {
        PreallocationMode.Off => "off",
        PreallocationMode.Metadata => "metadata",
        PreallocationMode.Falloc => "falloc",
        _ => "full",
    };

    /// <summary>The mode of QMP's word; none given is <c>off</c>.</summary>
    /// <exception cref="BlockException">There is no such mode.</exception>
    public static PreallocationMode Parse(string? word) => word switch
    {
        null or "off" => PreallocationMode.Off,
        "metadata" => PreallocationMode.Metadata,
        "falloc" => PreallocationMode.Falloc,
        "full" => PreallocationMode.Full,
        _ => throw new BlockException(BlockErrorKind.Invalid, $"invalid parameter value: {word}"),
    };
}

/// <summary>The options every node has, whatever its driver (the common members of QMP's <c>BlockdevOptions</c>).</summary>
internal sealed record NodeSettings
{
    public bool ReadOnly { get; init; }

    /// <summary>Open read-only where writing is not possible, or until somebody wants to write.</summary>
    public bool AutoReadOnly { get; init; }

    /// <summary>Share every permission on the file, to look at an image in use; read-only nodes only.</summary>
    public bool ForceShare { get; init; }

    /// <summary>Pass discards on (<c>discard=unmap</c>).</summary>
    public bool Discard { get; init; }

    public DetectZeroesMode DetectZeroes { get; init; }

    /// <summary>Bypass the page cache (<c>cache.direct</c>).</summary>
    public bool CacheDirect { get; init; }

    /// <summary>Ignore flushes (<c>cache.no-flush</c>): the caller does not mind losing the image in a crash.</summary>
    public bool CacheNoFlush { get; init; }

    /// <summary>Whether <see cref="ReadOnly"/> was inherited from the parent, so that a reopen of the parent takes this node along.</summary>
    public bool InheritsReadOnly { get; init; }

    /// <summary>What a child described inside its parent's options starts from; its own options come on top.</summary>
    /// <remarks>A backing image is read-only until somebody needs otherwise. A format decides itself which discards reach its
    /// file, so the file passes all of them on.</remarks>
    public NodeSettings ForChild(ChildRole role, bool parentIsFormat)
    {
        bool isBacking = (role & ChildRole.Cow) != 0;
        return new NodeSettings
        {
            ReadOnly = ReadOnly || isBacking,
            AutoReadOnly = AutoReadOnly && !isBacking,
            ForceShare = ForceShare,
            Discard = Discard || (parentIsFormat && !isBacking),
            CacheDirect = CacheDirect,
            CacheNoFlush = CacheNoFlush,
            InheritsReadOnly = true,
        };
    }
}
