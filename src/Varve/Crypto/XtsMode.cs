using System.Runtime.Intrinsics;
using System.Security.Cryptography;

namespace Varve.Crypto;

// XTS: IEEE 1619-2007. Each sector's vector is encrypted once with the second key; block j's tweak is that times x^j in GF(2^128).
// A block is the cipher of (text ^ tweak) ^ tweak. Sectors are whole blocks, so nothing is ever stolen.

/// <summary>XTS, with the tweaks of a whole buffer made at once and two passes of exclusive or around one pass of the cipher.</summary>
internal sealed class XtsMode(BlockCipher cipher, BlockCipher tweakCipher, IVGenerator vectors) : SectorMode(cipher, vectors)
{
    private const int BlockSize = 16;

    private readonly byte[] _tweaks = GC.AllocateArray<byte>(MaxLength, pinned: true);

    public override void Encrypt(ulong sector, ReadOnlySpan<byte> source, Span<byte> destination)
    {
        int length = source.Length;
        FillTweaks(sector, length);
        Xor.Of(source, _tweaks.AsSpan(0, length), Work.AsSpan(0, length));
        Cipher.Encrypt(Work, length);
        Xor.Of(Work.AsSpan(0, length), _tweaks.AsSpan(0, length), destination[..length]);
    }

    public override void Decrypt(ulong sector, Span<byte> data)
    {
        int length = data.Length;
        FillTweaks(sector, length);
        Xor.Of(data, _tweaks.AsSpan(0, length), Work.AsSpan(0, length));
        Cipher.Decrypt(Work, length);
        Xor.Of(Work.AsSpan(0, length), _tweaks.AsSpan(0, length), data);
    }

    public override void Dispose()
    {
        base.Dispose();
        tweakCipher.Dispose();
        CryptographicOperations.ZeroMemory(_tweaks);
    }

    private void FillTweaks(ulong sector, int length)
    {
        int sectorCount = length / SectorSize;
        VectorGenerator.Fill(sector, sectorCount, Vectors);
        tweakCipher.Encrypt(Vectors, sectorCount * BlockSize);
        for (int i = 0; i < sectorCount; i++)
        {
            Expand(Vectors.AsSpan(i * BlockSize, BlockSize), _tweaks.AsSpan(i * SectorSize, SectorSize));
        }
    }

    /// <summary>Writes the first tweak and its successors, each the one before times x: shifted left, what falls out folded back.</summary>
    private static void Expand(ReadOnlySpan<byte> first, Span<byte> tweaks)
    {
        var feedback = Vector128.Create(0x87, 0, 1, 0);
        var tweak = Vector128.Create<byte>(first).AsUInt64();
        for (int at = 0; at < tweaks.Length; at += BlockSize)
        {
            tweak.AsByte().CopyTo(tweaks[at..]);
            Vector128<int> carries = Vector128.ShiftRightArithmetic(Vector128.Shuffle(tweak.AsInt32(), Vector128.Create(3, 3, 1, 1)), 31);
            tweak = (tweak + tweak) ^ (carries & feedback).AsUInt64();
        }
    }
}
