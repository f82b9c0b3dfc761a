using System.Buffers.Binary;

namespace Varve.Formats.Qcow2.Metadata;

/// <summary>A refcount block over its bytes: one cluster of refcounts, 1 to 64 bits wide. qcow2 specification, "Refcount block entry".</summary>
/// <remarks>No entry crosses a 512-byte sector, so a torn write leaves each refcount either old or new.</remarks>
internal readonly ref struct RefcountBlock(Span<byte> bytes, int refcountOrder)
{
    private readonly Span<byte> _bytes = bytes;

    /// <summary>How many clusters a block of <paramref name="clusterBits"/> counts, as a power of two.</summary>
    public static int EntryBits(int clusterBits, int refcountOrder) => clusterBits + 3 - refcountOrder;

    /// <summary>The largest refcount that fits.</summary>
    public static ulong MaxRefcount(int refcountOrder) => refcountOrder == 6 ? ulong.MaxValue : (1UL << (1 << refcountOrder)) - 1;

    /// <summary>Entries of the block.</summary>
    public int Count => (int)((long)_bytes.Length * 8 >> refcountOrder);

    /// <summary>The byte at which an entry begins: what has to be written when it changes.</summary>
    public static int ByteOf(int index, int refcountOrder) => (int)(((long)index << refcountOrder) >> 3);

    public ulong this[int index]
    {
        get => refcountOrder switch
        {
            3 => _bytes[index],
            4 => BinaryPrimitives.ReadUInt16BigEndian(_bytes[(index * 2)..]),
            5 => BinaryPrimitives.ReadUInt32BigEndian(_bytes[(index * 4)..]),
            6 => BinaryPrimitives.ReadUInt64BigEndian(_bytes[(index * 8)..]),
            _ => (ulong)(_bytes[ByteOf(index, refcountOrder)] >> BitOf(index)) & MaxRefcount(refcountOrder),   // bit 0 is the least significant
        };
        set
        {
            switch (refcountOrder)
            {
                case 3: _bytes[index] = (byte)value; break;
                case 4: BinaryPrimitives.WriteUInt16BigEndian(_bytes[(index * 2)..], (ushort)value); break;
                case 5: BinaryPrimitives.WriteUInt32BigEndian(_bytes[(index * 4)..], (uint)value); break;
                case 6: BinaryPrimitives.WriteUInt64BigEndian(_bytes[(index * 8)..], value); break;
                default:
                    ref byte cell = ref _bytes[ByteOf(index, refcountOrder)];
                    int mask = (int)MaxRefcount(refcountOrder) << BitOf(index);
                    cell = (byte)((cell & ~mask) | ((int)value << BitOf(index)));
                    break;
            }
        }
    }

    private int BitOf(int index) => (int)(((long)index << refcountOrder) & 7);
}
