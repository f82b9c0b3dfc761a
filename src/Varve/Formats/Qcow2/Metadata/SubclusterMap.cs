using System.Numerics;

namespace Varve.Formats.Qcow2.Metadata;

/// <summary>The second word of an extended L2 entry: bit x says that subcluster x is allocated, bit 32 + x that it reads as zeros.
/// qcow2 specification, "Subcluster Allocation Bitmap".</summary>
internal readonly record struct SubclusterMap(ulong Raw)
{
    /// <summary>Subclusters of a cluster, and as a power of two.</summary>
    public const int Count = 32, CountBits = 5;

    /// <summary>Every subcluster unallocated.</summary>
    public static SubclusterMap None => default;

    public static SubclusterMap AllAllocated => new(0x0000_0000_FFFF_FFFF);

    public static SubclusterMap AllZero => new(0xFFFF_FFFF_0000_0000);

    /// <summary>Bit x: subcluster x holds data.</summary>
    public uint Allocated => (uint)Raw;

    /// <summary>Bit x: subcluster x reads as zeros.</summary>
    public uint Zero => (uint)(Raw >> 32);

    /// <summary>Bit x: neither is so; the backing image shows.</summary>
    public uint Unallocated => ~(Allocated | Zero);

    /// <summary>Some subcluster is said to be both, which cannot be.</summary>
    public bool IsContradictory => (Allocated & Zero) != 0;

    /// <summary>Bits of subclusters [<paramref name="first"/>, <paramref name="end"/>).</summary>
    public static uint Bits(int first, int end) => (uint)((1UL << end) - (1UL << first));

    public SubclusterMap WithAllocated(int first, int end) => Of(Allocated | Bits(first, end), Zero & ~Bits(first, end));

    public SubclusterMap WithZero(int first, int end) => Of(Allocated & ~Bits(first, end), Zero | Bits(first, end));

    /// <summary>How many subclusters from <paramref name="first"/> on are what that one is: at least 1.</summary>
    public int RunFrom(int first)
    {
        uint bit = 1u << first;
        uint alike = (Allocated & bit) != 0 ? Allocated : (Zero & bit) != 0 ? Zero : Unallocated;
        return Math.Min(BitOperations.TrailingZeroCount(~(alike >> first)), Count - first);
    }

    private static SubclusterMap Of(uint allocated, uint zero) => new(((ulong)zero << 32) | allocated);
}
