namespace Varve;

/// <summary>What a caller can do about a failure; every edge (NBD, QMP, exit code) maps it in one table.</summary>
public enum BlockErrorKind
{
    /// <summary>The medium failed the request (EIO). The data of the failed range is undefined.</summary>
    Io,

    /// <summary>Metadata contradicts itself or its specification. Nothing was written because of it.</summary>
    Corrupt,

    /// <summary>The format, driver or platform cannot do this at all (ENOTSUP).</summary>
    Unsupported,

    /// <summary>An option, name or value was refused (EINVAL); the message names it.</summary>
    Invalid,

    /// <summary>No room: the file system, the header cluster or a table is full (ENOSPC).</summary>
    NoSpace,

    /// <summary>A write on something opened read-only.</summary>
    ReadOnly,

    /// <summary>A file, node, job or snapshot that does not exist (ENOENT).</summary>
    NotFound,

    /// <summary>Somebody else holds it: a lock, a permission, a job, a name.</summary>
    InUse,

    /// <summary>The operating system or the reference policy forbids it (EPERM, EACCES).</summary>
    Denied,

    /// <summary>Larger, deeper or longer than a limit allows (EFBIG); the message names limit and value.</summary>
    TooLarge,
}

/// <summary>The one exception of the block layer: what failed, where, and what kind of failure it is.</summary>
/// <param name="kind">The class a caller acts on.</param>
/// <param name="message">Names the thing and the value.</param>
/// <param name="inner">The cause, when there is one.</param>
public sealed class BlockException(BlockErrorKind kind, string message, Exception? inner = null)
    : IOException(message, inner)
{
    /// <summary>The class a caller acts on.</summary>
    public BlockErrorKind Kind { get; } = kind;

    /// <summary>The node that failed, when one is known.</summary>
    public string? NodeName { get; init; }

    /// <summary>Where it failed: bytes, in the node that failed.</summary>
    public long? Offset { get; init; }

    /// <summary>A second line for people: what to do about it. Tools print it under the message.</summary>
    public string? Hint { get; init; }

    /// <summary>The Linux errno that says the same, for edges that speak errno (NBD, job results).</summary>
    internal int Errno { get => field != 0 ? field : Varve.Errno.Of(Kind); init; }

    /// <summary>A failure known only by its errno; the message is the C library's text for it.</summary>
    internal static BlockException FromErrno(int errno, string? what = null)
        => new(Varve.Errno.KindOf(errno), what is null ? Varve.Errno.Text(errno) : $"{what}: {Varve.Errno.Text(errno)}") { Errno = errno };
}
