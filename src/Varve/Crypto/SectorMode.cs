using System.Security.Cryptography;

namespace Varve.Crypto;

/// <summary>A cipher mode over runs of sectors, with its keys and working memory. Not for two threads at once.</summary>
internal abstract class SectorMode : IDisposable
{
    /// <summary>Bytes a call takes at most. Small enough for the nearest caches, large enough that calls cost nothing.</summary>
    public const int MaxLength = 32 << 10;

    protected const int SectorSize = SectorCipher.SectorSize, MaxSectors = MaxLength / SectorSize;

    protected SectorMode(BlockCipher cipher, IVGenerator vectors)
    {
        Cipher = cipher;
        VectorGenerator = vectors;
        Vectors = GC.AllocateArray<byte>(MaxSectors * cipher.BlockSize, pinned: true);
        Work = GC.AllocateArray<byte>(MaxLength, pinned: true);
    }

    protected BlockCipher Cipher { get; }

    protected IVGenerator VectorGenerator { get; }

    /// <summary>Room for a vector a sector.</summary>
    protected byte[] Vectors { get; }

    /// <summary>Room for every block of a call. Pinned, so that no copies of it stay behind where the collector moved it from.</summary>
    protected byte[] Work { get; }

    /// <summary>Encrypts whole sectors, at most <see cref="MaxLength"/> bytes. The buffers may be one.</summary>
    public abstract void Encrypt(ulong sector, ReadOnlySpan<byte> source, Span<byte> destination);

    /// <summary>Decrypts whole sectors in place, at most <see cref="MaxLength"/> bytes.</summary>
    public abstract void Decrypt(ulong sector, Span<byte> data);

    public virtual void Dispose()
    {
        Cipher.Dispose();
        VectorGenerator.Dispose();
        CryptographicOperations.ZeroMemory(Vectors);
        CryptographicOperations.ZeroMemory(Work);
    }
}
