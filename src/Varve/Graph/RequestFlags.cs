namespace Varve.Graph;

/// <summary>How a write is to be done.</summary>
[Flags]
internal enum WriteFlags
{
    None = 0,

    /// <summary>Durable before it completes (force unit access).</summary>
    Fua = 1,

    /// <summary>Does not change what the guest sees: needs only <see cref="BlockPermissions.WriteUnchanged"/>.</summary>
    Unchanged = 2,

    /// <summary>Store compressed; the format decides whether it can.</summary>
    Compressed = 4,
}

/// <summary>How a range is made to read as zeros.</summary>
[Flags]
internal enum ZeroFlags
{
    None = 0,

    /// <summary>Space may be given back; without it a later write must not fail for lack of space where it would not have before.</summary>
    MayUnmap = 1,

    /// <summary>Fail with <see cref="BlockErrorKind.Unsupported"/> rather than write explicit zeros.</summary>
    NoFallback = 2,

    /// <summary>Durable before it completes.</summary>
    Fua = 4,

    /// <summary>Does not change what the guest sees.</summary>
    Unchanged = 8,
}
