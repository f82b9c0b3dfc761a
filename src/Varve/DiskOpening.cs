namespace Varve;

/// <summary>How a disk is opened.</summary>
public sealed record DiskOpening
{
    /// <summary>The image's format (<c>qcow2</c>, <c>raw</c>); null finds out from its first bytes.</summary>
    /// <remarks>Say <c>raw</c> for images a guest has written: a guest can write another format's header into a raw disk.</remarks>
    public string? Format { get; init; }

    /// <summary>Whether the disk can be written. Its file is locked accordingly, in the way other tools of the field respect.</summary>
    public bool Writable { get; init; }

    /// <summary>Which files named inside images may be opened; by default none, so that a chain must be asked for.</summary>
    public ReferencePolicy References { get; init; } = ReferencePolicy.Nothing;

    /// <summary>Bypass the host's page cache (O_DIRECT).</summary>
    public bool DirectIO { get; init; }

    /// <summary>Whether <see cref="VirtualDisk.DiscardAsync"/> gives space back to the host; otherwise discards do nothing.</summary>
    public bool Discard { get; init; }

    /// <summary>Open an image that somebody else is writing, read-only and without taking locks. What is read may be inconsistent.</summary>
    public bool ForceShare { get; init; }
}
