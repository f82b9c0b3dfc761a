using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Varve.Crypto.Luks;

// AF splitting, LUKS On-Disk Format section 2.4: the key is blown up to many stripes, every bit of which is needed to get it back.
// A disk that keeps an old copy of one sector of erased key material keeps nothing of use.

/// <summary>Splits keys into key material and merges them back.</summary>
internal static class AntiForensic
{
    /// <summary>Splits a key: all stripes but the last are random.</summary>
    public static void Split(DigestAlgorithm hash, ReadOnlySpan<byte> key, Span<byte> material, int stripes)
    {
        int size = key.Length;
        Span<byte> random = material[..(size * (stripes - 1))];
        RandomNumberGenerator.Fill(random);
        Span<byte> last = material.Slice(random.Length, size);
        Accumulate(hash, random, last);
        Xor.Of(last, key, last);
    }

    /// <summary>Gets the key back.</summary>
    public static void Merge(DigestAlgorithm hash, ReadOnlySpan<byte> material, Span<byte> key, int stripes)
    {
        int size = key.Length;
        Accumulate(hash, material[..(size * (stripes - 1))], key);
        Xor.Of(key, material.Slice(size * (stripes - 1), size), key);
    }

    private static void Accumulate(DigestAlgorithm hash, ReadOnlySpan<byte> stripes, Span<byte> sum)
    {
        sum.Clear();
        for (; !stripes.IsEmpty; stripes = stripes[sum.Length..])
        {
            Xor.Of(sum, stripes[..sum.Length], sum);
            Diffuse(hash, sum);
        }
    }

    /// <summary>Replaces each digest-sized piece, the last one may be shorter, by the hash of its index and itself.</summary>
    private static void Diffuse(DigestAlgorithm hash, Span<byte> block)
    {
        Span<byte> input = stackalloc byte[4 + hash.Size], digest = stackalloc byte[hash.Size];
        for (int at = 0, index = 0; at < block.Length; at += hash.Size, index++)
        {
            Span<byte> piece = block[at..Math.Min(at + hash.Size, block.Length)];
            BinaryPrimitives.WriteInt32BigEndian(input, index);
            piece.CopyTo(input[4..]);
            hash.Hash(input[..(4 + piece.Length)], digest);
            digest[..piece.Length].CopyTo(piece);
        }

        CryptographicOperations.ZeroMemory(input);
        CryptographicOperations.ZeroMemory(digest);
    }
}
