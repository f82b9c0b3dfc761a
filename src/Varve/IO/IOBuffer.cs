using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Varve.Interop;

namespace Varve.IO;

/// <summary>A pooled buffer whose address suits direct I/O. Whoever rents disposes, once.</summary>
/// <remarks>
/// One free list per power of two from 4 KiB to <see cref="MaxTransfer"/>, each bounded, behind one lock held for a push or a pop.
/// Larger buffers are made and dropped.
/// </remarks>
internal sealed class IOBuffer : IDisposable
{
    /// <summary>Bytes of the largest pooled buffer, and of the pieces long operations are cut into.</summary>
    public const int MaxTransfer = 2 << 20;

    private const int SmallestBits = 12, LargestBits = 21, KeptPerSize = 64;
    private static readonly Lock s_lock = new();
    private static readonly Stack<IOBuffer>[] s_free = [.. Enumerable.Range(SmallestBits, LargestBits - SmallestBits + 1)
        .Select(_ => new Stack<IOBuffer>())];

    private readonly AlignedMemory _whole;
    private readonly int _sizeBits;
    private int _length;

    private IOBuffer(int sizeBits, int size)
    {
        _whole = new AlignedMemory(size);
        _sizeBits = sizeBits;
    }

    /// <summary>The rented bytes; content undefined.</summary>
    public Memory<byte> Memory => _whole.Memory[.._length];

    /// <summary>The rented bytes; content undefined.</summary>
    public Span<byte> Span => _whole.GetSpan()[.._length];

    /// <summary>A buffer of exactly <paramref name="length"/> bytes, page aligned.</summary>
    public static IOBuffer Rent(int length)
    {
        int bits = Math.Max(SmallestBits, 32 - int.LeadingZeroCount(Math.Max(length, 1) - 1));
        if (bits > LargestBits) return new IOBuffer(0, length) { _length = length };
        IOBuffer? buffer;
        lock (s_lock) s_free[bits - SmallestBits].TryPop(out buffer);
        buffer ??= new IOBuffer(bits, 1 << bits);
        buffer._length = length;
        return buffer;
    }

    /// <summary>Gives the buffer back; neither it nor slices of it may be touched afterwards.</summary>
    public void Dispose()
    {
        if (_sizeBits != 0)
        {
            lock (s_lock)
            {
                Stack<IOBuffer> free = s_free[_sizeBits - SmallestBits];
                if (free.Count < KeptPerSize)
                {
                    free.Push(this);
                    return;
                }
            }
        }

        ((IDisposable)_whole).Dispose();
    }

    /// <summary>Whether the memory can be handed to direct I/O as it is: it starts on a multiple of <paramref name="alignment"/> and
    /// cannot move. Only our own buffers promise that; with alignment 1 every memory will do.</summary>
    public static bool IsAligned(ReadOnlyMemory<byte> memory, int alignment)
        => alignment == 1
           || (MemoryMarshal.TryGetMemoryManager(memory, out AlignedMemory? _, out int start, out int _) && Align.Is(start, alignment));
}
