using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Varve.Crypto;

/// <summary>Exclusive or of whole buffers, as wide as the processor can.</summary>
internal static class Xor
{
    /// <summary><c>destination = left ^ right</c>; all of one length. The destination may be one of the others, not overlap it otherwise.</summary>
    public static void Of(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, Span<byte> destination)
    {
        int length = left.Length;
        ArgumentOutOfRangeException.ThrowIfNotEqual(right.Length, length);
        ArgumentOutOfRangeException.ThrowIfNotEqual(destination.Length, length);
        ref byte a = ref MemoryMarshal.GetReference(left), b = ref MemoryMarshal.GetReference(right);
        ref byte to = ref MemoryMarshal.GetReference(destination);
        int i = 0;
        if (Vector256.IsHardwareAccelerated)
        {
            for (; i <= length - Vector256<byte>.Count; i += Vector256<byte>.Count)
            {
                (Vector256.LoadUnsafe(ref a, (nuint)i) ^ Vector256.LoadUnsafe(ref b, (nuint)i)).StoreUnsafe(ref to, (nuint)i);
            }
        }

        for (; i <= length - Vector128<byte>.Count; i += Vector128<byte>.Count)
        {
            (Vector128.LoadUnsafe(ref a, (nuint)i) ^ Vector128.LoadUnsafe(ref b, (nuint)i)).StoreUnsafe(ref to, (nuint)i);
        }

        for (; i < length; i++) Unsafe.Add(ref to, i) = (byte)(Unsafe.Add(ref a, i) ^ Unsafe.Add(ref b, i));
    }
}
