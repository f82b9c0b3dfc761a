namespace Varve.Crypto;

/// <summary>CBC within each sector. Sectors are independent, so a whole column of blocks, one of each sector, is encrypted at once.</summary>
internal sealed class CbcMode(BlockCipher cipher, IVGenerator vectors) : SectorMode(cipher, vectors)
{
    public override void Encrypt(ulong sector, ReadOnlySpan<byte> source, Span<byte> destination)
    {
        int size = Cipher.BlockSize, sectorCount = source.Length / SectorSize;
        VectorGenerator.Fill(sector, sectorCount, Vectors);   // from here on: what the next column is chained to
        for (int column = 0; column < SectorSize; column += size)
        {
            for (int i = 0; i < sectorCount; i++)
            {
                Span<byte> chained = Vectors.AsSpan(i * size, size);
                Xor.Of(source.Slice(i * SectorSize + column, size), chained, chained);
            }

            Cipher.Encrypt(Vectors, sectorCount * size);
            for (int i = 0; i < sectorCount; i++) Vectors.AsSpan(i * size, size).CopyTo(destination[(i * SectorSize + column)..]);
        }
    }

    public override void Decrypt(ulong sector, Span<byte> data)
    {
        int size = Cipher.BlockSize, sectorCount = data.Length / SectorSize;
        VectorGenerator.Fill(sector, sectorCount, Vectors);
        data.CopyTo(Work);
        Cipher.Decrypt(Work, data.Length);
        for (int i = sectorCount - 1; i >= 0; i--)
        {
            Span<byte> one = data.Slice(i * SectorSize, SectorSize);
            Span<byte> plain = Work.AsSpan(i * SectorSize, SectorSize);
            Xor.Of(plain[size..], one[..^size], plain[size..]);
            Xor.Of(plain[..size], Vectors.AsSpan(i * size, size), plain[..size]);
            plain.CopyTo(one);
        }
    }
}
