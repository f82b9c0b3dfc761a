using Varve.Crypto;

namespace Varve.Formats.Qcow2;

/// <summary>The encryption of old images: AES-128 in CBC, vectors by guest sector, and the password itself as the key.</summary>
/// <remarks>qcow2 specification, "crypt_method": weak, and there to get data out of old images. Nothing tells a wrong password.</remarks>
internal static class LegacyAes
{
    private static readonly CipherSpec s_spec = new(CipherAlgorithm.Aes128, CipherMode.Cbc, IVAlgorithm.Plain64, IVHash: null);

    /// <summary>The password's first 16 bytes, filled up with zeros, are the key.</summary>
    public static SectorCipher CreateCipher(SecretBytes password)
    {
        using var key = new SecretBytes(s_spec.KeySize);
        password.Span[..Math.Min(password.Length, key.Length)].CopyTo(key.Span);
        return new SectorCipher(s_spec, key.Span);
    }
}
