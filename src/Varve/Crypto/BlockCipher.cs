using System.Security.Cryptography;

namespace Varve.Crypto;

/// <summary>A keyed block cipher that works on many independent blocks at once: what every mode is made of.</summary>
/// <remarks>Not for two threads at once. Nothing is allocated per call.</remarks>
internal abstract class BlockCipher : IDisposable
{
    /// <summary>Bytes of a block.</summary>
    public abstract int BlockSize { get; }

    /// <summary>Encrypts the first <paramref name="length"/> bytes in place, each block for itself.</summary>
    public abstract void Encrypt(byte[] blocks, int length);

    /// <summary>Decrypts the first <paramref name="length"/> bytes in place, each block for itself.</summary>
    public abstract void Decrypt(byte[] blocks, int length);

    /// <summary>Forgets the key.</summary>
    public abstract void Dispose();

    /// <summary>Whether there is an implementation of an algorithm.</summary>
    public static bool IsSupported(CipherAlgorithm algorithm) => algorithm.Family == "aes";

    /// <summary>A cipher with a key of <see cref="CipherAlgorithm.KeySize"/> bytes.</summary>
    /// <exception cref="BlockException"><see cref="BlockErrorKind.Unsupported"/>: there is no implementation.</exception>
    public static BlockCipher Create(CipherAlgorithm algorithm, ReadOnlySpan<byte> key) => IsSupported(algorithm)
        ? new AesCipher(key)
        : throw new BlockException(BlockErrorKind.Unsupported, $"Algorithm '{algorithm.Name}' not supported");

    /// <summary>AES by the platform's library, which uses the processor's instructions.</summary>
    private sealed class AesCipher : BlockCipher
    {
        private readonly ICryptoTransform _encryptor, _decryptor;

        public AesCipher(ReadOnlySpan<byte> key)
        {
            byte[] copy = key.ToArray();
            try
            {
                using var aes = Aes.Create();
                (aes.Mode, aes.Padding, aes.Key) = (System.Security.Cryptography.CipherMode.ECB, PaddingMode.None, copy);
                (_encryptor, _decryptor) = (aes.CreateEncryptor(), aes.CreateDecryptor());
            }
            finally
            {
                CryptographicOperations.ZeroMemory(copy);
            }
        }

        public override int BlockSize => 16;

        public override void Encrypt(byte[] blocks, int length) => _encryptor.TransformBlock(blocks, 0, length, blocks, 0);

        public override void Decrypt(byte[] blocks, int length) => _decryptor.TransformBlock(blocks, 0, length, blocks, 0);

        public override void Dispose()
        {
            _encryptor.Dispose();
            _decryptor.Dispose();
        }
    }
}
