namespace Varve.Formats.Qcow2.Metadata;

/// <summary>An entry of an L1 table: where an L2 table lies. qcow2 specification, "L1 table entry".</summary>
internal readonly record struct L1Entry(ulong Raw)
{
    private const ulong Copied = 1UL << 63, HostOffsetMask = 0x00FF_FFFF_FFFF_FE00;   // bits 9..55
    private const ulong ReservedMask = 0x7F00_0000_0000_01FF;                         // bits 0..8 and 56..62

    /// <summary>No L2 table: nothing under this entry is allocated.</summary>
    public static L1Entry Unallocated => default;

    public bool IsAllocated => (Raw & HostOffsetMask) != 0;

    public HostOffset Table => new((long)(Raw & HostOffsetMask));

    /// <summary>The table belongs to the active L1 table alone: it is changed in place.</summary>
    public bool IsCopied => (Raw & Copied) != 0;

    /// <summary>Whether reserved bits are set.</summary>
    public bool HasReservedBits => (Raw & ReservedMask) != 0;

    /// <summary>An entry for a table whose refcount is exactly one.</summary>
    public static L1Entry Of(HostOffset table) => new(Copied | (ulong)table.Value);
}
