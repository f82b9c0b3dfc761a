using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Varve.Crypto;

/// <summary>A hash function (QMP <c>QCryptoHashAlgorithm</c>), and the key derivation built on it.</summary>
/// <param name="Name">As options and LUKS headers spell it.</param>
/// <param name="Size">Bytes of a digest.</param>
internal abstract record DigestAlgorithm(string Name, int Size)
{
    public static DigestAlgorithm Sha256 { get; } = new PlatformDigest("sha256", 32, HashAlgorithmName.SHA256);

    /// <summary>Every function QMP knows.</summary>
    public static IReadOnlyList<DigestAlgorithm> All { get; } =
    [
        new PlatformDigest("md5", 16, HashAlgorithmName.MD5), new PlatformDigest("sha1", 20, HashAlgorithmName.SHA1),
        Sha256, new PlatformDigest("sha384", 48, HashAlgorithmName.SHA384), new PlatformDigest("sha512", 64, HashAlgorithmName.SHA512),
    ];

    /// <summary>The function of a name; null when there is none.</summary>
    public static DigestAlgorithm? Find(string name) => All.FirstOrDefault(a => a.Name == name);

    /// <summary>The function an option names.</summary>
    /// <exception cref="BlockException">There is none of that name.</exception>
    public static DigestAlgorithm Parse(string option, string name)
        => Find(name) ?? throw new BlockException(BlockErrorKind.Invalid, $"Parameter '{option}' does not accept value '{name}'");

    /// <summary>Writes the digest of <paramref name="data"/>; <paramref name="digest"/> holds at least <see cref="Size"/> bytes.</summary>
    public abstract void Hash(ReadOnlySpan<byte> data, Span<byte> digest);

    /// <summary>PBKDF2 with HMAC: RFC 8018, section 5.2.</summary>
    public abstract void DeriveKey(ReadOnlySpan<byte> password, ReadOnlySpan<byte> salt, int iterations, Span<byte> key);

    private sealed record PlatformDigest(string Name, int Size, HashAlgorithmName Algorithm) : DigestAlgorithm(Name, Size)
    {
        public override void Hash(ReadOnlySpan<byte> data, Span<byte> digest) => CryptographicOperations.HashData(Algorithm, data, digest);

        public override void DeriveKey(ReadOnlySpan<byte> password, ReadOnlySpan<byte> salt, int iterations, Span<byte> key)
        {
            if (Algorithm == HashAlgorithmName.MD5) DeriveStepByStep(password, salt, iterations, key);   // the platform leaves it out
            else Rfc2898DeriveBytes.Pbkdf2(password, salt, key, iterations, Algorithm);
        }

        private void DeriveStepByStep(ReadOnlySpan<byte> password, ReadOnlySpan<byte> salt, int iterations, Span<byte> key)
        {
            using var hmac = IncrementalHash.CreateHMAC(Algorithm, password);
            Span<byte> index = stackalloc byte[4], step = stackalloc byte[Size], sum = stackalloc byte[Size];
            for (int block = 1; !key.IsEmpty; block++)
            {
                BinaryPrimitives.WriteInt32BigEndian(index, block);
                hmac.AppendData(salt);
                hmac.AppendData(index);
                hmac.GetHashAndReset(step);
                step.CopyTo(sum);
                for (int i = 1; i < iterations; i++)
                {
                    hmac.AppendData(step);
                    hmac.GetHashAndReset(step);
                    Xor.Of(sum, step, sum);
                }

                int length = Math.Min(Size, key.Length);
                sum[..length].CopyTo(key);
                key = key[length..];
            }

            CryptographicOperations.ZeroMemory(step);
            CryptographicOperations.ZeroMemory(sum);
        }
    }
}
