namespace Varve.Crypto;

/// <summary>CTR: the vector, counted up as one big-endian number from block to block, is encrypted to the key stream of a sector.</summary>
/// <remarks>Writing a sector twice uses its key stream twice, which tells what changed. There for old images only.</remarks>
internal sealed class CtrMode(BlockCipher cipher, IVGenerator vectors) : SectorMode(cipher, vectors)
{
    public override void Encrypt(ulong sector, ReadOnlySpan<byte> source, Span<byte> destination)
    {
        FillStream(sector, source.Length);
        Xor.Of(source, Work.AsSpan(0, source.Length), destination[..source.Length]);
    }

    public override void Decrypt(ulong sector, Span<byte> data)
    {
        FillStream(sector, data.Length);
        Xor.Of(data, Work.AsSpan(0, data.Length), data);
    }

    private void FillStream(ulong sector, int length)
    {
        int size = Cipher.BlockSize, sectorCount = length / SectorSize;
        VectorGenerator.Fill(sector, sectorCount, Vectors);
        for (int i = 0; i < sectorCount; i++)
        {
            Span<byte> counter = Vectors.AsSpan(i * size, size);
            for (int column = 0; column < SectorSize; column += size)
            {
                counter.CopyTo(Work.AsSpan(i * SectorSize + column));
                Increment(counter);
            }
        }

        Cipher.Encrypt(Work, length);
    }

    private static void Increment(Span<byte> counter)
    {
        for (int i = counter.Length - 1; i >= 0 && ++counter[i] == 0; i--)
        {
        }
    }
}
