namespace Varve.Formats.Qcow2.Metadata;

/// <summary>An entry of the refcount table: where a refcount block lies. qcow2 specification, "Refcount table entry".</summary>
internal readonly record struct RefcountTableEntry(ulong Raw)
{
    private const ulong HostOffsetMask = 0xFFFF_FFFF_FFFF_FE00;   // bits 9..63

    /// <summary>No block: every refcount it would hold is 0.</summary>
    public static RefcountTableEntry Unallocated => default;

    public bool IsAllocated => (Raw & HostOffsetMask) != 0;

    public HostOffset Block => new((long)(Raw & HostOffsetMask));

    public static RefcountTableEntry Of(HostOffset block) => new((ulong)block.Value);
}
