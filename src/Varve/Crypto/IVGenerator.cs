using System.Buffers.Binary;

namespace Varve.Crypto;

/// <summary>Makes the initialization vectors of consecutive sectors.</summary>
/// <param name="algorithm">How.</param>
/// <param name="size">Bytes of a vector: a block of the cipher.</param>
/// <param name="essiv">The cipher keyed with the hash of the volume's key, for <see cref="IVAlgorithm.Essiv"/>.</param>
internal sealed class IVGenerator(IVAlgorithm algorithm, int size, BlockCipher? essiv) : IDisposable
{
    /// <summary>Fills in the vectors of <paramref name="count"/> sectors, one behind the other.</summary>
    public void Fill(ulong firstSector, int count, byte[] vectors)
    {
        Span<byte> all = vectors.AsSpan(0, count * size);
        all.Clear();
        for (int i = 0; i < count; i++)
        {
            ulong sector = firstSector + (uint)i;
            BinaryPrimitives.WriteUInt64LittleEndian(all[(i * size)..], algorithm == IVAlgorithm.Plain ? (uint)sector : sector);
        }

        essiv?.Encrypt(vectors, count * size);
    }

    public void Dispose() => essiv?.Dispose();
}
